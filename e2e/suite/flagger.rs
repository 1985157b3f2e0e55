//! Flagger and Argo Rollouts drive canaries through SMI unchanged: the objects they write, in their order, move traffic as they expect.
//!
//! Fails when: a weight of any version is read wrongly, an update is not followed, a request fails on the way, or the translation does
//! not end with what it translates.

pub(crate) mod program;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::load::Load;
use tulle_e2e::{command, shares, wait};

use crate::context::{Context, ensure};

const RPS: u32 = 500;
/// Requests a step: at 10 % the standard deviation is 0.7 points.
const REQUESTS: u64 = 2_000;
/// Requests in a look at whether an update has arrived.
const WINDOW: u64 = 60;
const SOON: Duration = Duration::from_secs(20);

pub(crate) fn run(context: &Context) -> Result<()> {
    let owner = canary(context)?;
    // Flagger's Services: the apex and -primary find the primary's pods, -canary those of the Deployment that users edit.
    for (name, app) in [("checkout", "v1"), ("checkout-primary", "v1"), ("checkout-canary", "v2")] {
        context.apply(&app::service(name, &[("app", app)]))?;
    }
    let server = |name| App::server(name).label("role", "checkout").service_account("checkout");
    context.deploy(&[("v1", server("v1")), ("v2", server("v2"))])?;
    create(context, &split("v1alpha1", &owner, &json!("0"), &json!("100")))?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "warm-up")?;
    load.wait_for(WINDOW, Duration::from_secs(30))?;
    // stepWeight 10, maxWeight 30, then promotion. v1alpha1 writes quantities.
    for weight in [0, 10, 20, 30, 0] {
        update(context, "v1alpha1", &json!(weight.to_string()), &json!((100 - weight).to_string()))?;
        step(&load, weight).with_context(|| format!("v1alpha1 at {weight}"))?;
    }
    for (version, weight) in [("v1alpha2", 50), ("v1alpha3", 25), ("v1alpha4", 100)] {
        update(context, version, &json!(weight), &json!(100 - weight))?;
        step(&load, weight).with_context(|| format!("{version} at {weight}"))?;
    }
    // Argo Rollouts' form of v1alpha1: fractions.
    update(context, "v1alpha1", &json!("250m"), &json!("750m"))?;
    step(&load, 25).context("fractions")?;
    let verdict = context.settle(&load, "role=checkout")?;
    ensure(verdict.ok > 9 * REQUESTS, || format!("only {} requests were answered", verdict.ok))?;
    refused(context)?;
    context.kubectl().delete("trafficsplits.split.smi-spec.io/checkout")?;
    wait::until(SOON, "the translation to end with its owner", || {
        let found = context.kubectl().run([
            "get",
            "trafficsplits.tulle.dev",
            "checkout",
            "--ignore-not-found",
            "-o",
            "name",
        ])?;
        Ok(found.trim().is_empty().then_some(()))
    })
}

/// What cannot be said leaves in force what was, and tells its author.
fn refused(context: &Context) -> Result<()> {
    let spec = |context: &Context| {
        Ok::<_, anyhow::Error>(context.kubectl().get("trafficsplits.tulle.dev/checkout")?["spec"].clone())
    };
    let before = spec(context)?;
    update(context, "v1alpha1", &json!("many"), &json!("100"))?;
    wait::until(SOON, "an event on the TrafficSplit of SMI", || {
        let events = context.kubectl().get("events.events.k8s.io")?;
        let told = events["items"].as_array().into_iter().flatten().any(|event| {
            event["regarding"]["apiVersion"].as_str().is_some_and(|version| version.starts_with("split.smi-spec.io/"))
                && event["note"].as_str().is_some_and(|note| note.starts_with("spec.backends[0].weight: \"many\""))
        });
        Ok(told.then_some(()))
    })?;
    ensure(spec(context)? == before, || "a mistake changed what was in force".to_owned())
}

/// Flagger's own object, which owns what it writes. Only its kind and uid matter here.
fn canary(context: &Context) -> Result<Value> {
    definitions(context)?;
    let canary = json!({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "checkout"}});
    context.apply(&canary)?;
    let uid = context.kubectl().get("canaries.flagger.app/checkout")?["metadata"]["uid"].clone();
    Ok(json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "checkout", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }))
}

/// Flagger's kinds, with anything in them.
fn definitions(context: &Context) -> Result<()> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    for (kind, plural) in
        [("Canary", "canaries"), ("MetricTemplate", "metrictemplates"), ("AlertProvider", "alertproviders")]
    {
        let name = format!("{plural}.flagger.app");
        let version = json!({"name": "v1beta1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}});
        context.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
            "spec": {
                "group": "flagger.app", "scope": "Namespaced", "versions": [version],
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            },
        }))?;
        context.kubectl().wait("condition=Established", &format!("crd/{name}"), SOON)?;
    }
    Ok(())
}

fn split(version: &str, owner: &Value, canary: &Value, primary: &Value) -> Value {
    json!({
        "apiVersion": format!("split.smi-spec.io/{version}"), "kind": "TrafficSplit",
        "metadata": {"name": "checkout", "ownerReferences": [owner]},
        "spec": {"service": "checkout", "backends": backends(canary, primary)},
    })
}

fn backends(canary: &Value, primary: &Value) -> Value {
    json!([{"service": "checkout-canary", "weight": canary}, {"service": "checkout-primary", "weight": primary}])
}

/// POST, as a client of the kind does it.
fn create(context: &Context, manifest: &Value) -> Result<()> {
    let mut kubectl = context.kubectl().command();
    command::run_with_input(kubectl.args(["create", "-f", "-"]), &manifest.to_string()).map(drop)
}

/// GET and PUT in one version, as a client of the kind does it.
fn update(context: &Context, version: &str, canary: &Value, primary: &Value) -> Result<()> {
    let mut found = context.kubectl().get(&format!("trafficsplits.{version}.split.smi-spec.io/checkout"))?;
    found["spec"]["backends"] = backends(canary, primary);
    let mut kubectl = context.kubectl().command();
    command::run_with_input(kubectl.args(["replace", "-f", "-"]), &found.to_string()).map(drop)
}

fn step(load: &Load, percent: u32) -> Result<()> {
    let expected = f64::from(percent) / 100.0;
    wait::until(Duration::from_secs(10), "the new weights to be in use", || {
        load.phase("settling")?;
        let phase = load.wait_for(WINDOW, Duration::from_secs(10))?.phase;
        Ok(shares::is_plausible(expected, phase.share("v2"), phase.ok).then_some(()))
    })?;
    load.phase(&format!("at-{percent}"))?;
    let phase = load.wait_for(REQUESTS, Duration::from_secs(60))?.phase;
    phase.expect_clean()?;
    let measured = phase.share("v2");
    ensure(shares::is_plausible(expected, measured, phase.ok), || {
        format!("the canary received {:.2} % of {} requests instead of {percent} %", measured * 100.0, phase.ok)
    })
}
