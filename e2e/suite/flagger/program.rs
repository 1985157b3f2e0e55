//! Flagger itself drives a canary over the mesh: it is given no metrics to judge by, so it goes from step to step.
//!
//! Fails when: Flagger cannot read or write the kinds the chart installs, traffic does not follow a weight it wrote, a request fails on the
//! way, or the new version does not receive everything in the end.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::App;
use tulle_e2e::components::FLAGGER;
use tulle_e2e::wait;

use super::{RPS, SOON, WINDOW, definitions, step};
use crate::beside::Beside;
use crate::context::{Context, ensure};

const PORT: u16 = 10_080;
/// Flagger takes a step every 10 s at most: two to begin, three of the analysis, four to promote.
const PROMOTED: Duration = Duration::from_secs(240);

pub(crate) fn run(context: &Context) -> Result<()> {
    definitions(context)?;
    context.apply(&deployment("v1"))?;
    context.apply(&canary())?;
    let beside = Beside::new(context)?;
    let mut flagger = Command::new(FLAGGER.ensure()?.join("flagger"));
    flagger.arg("-kubeconfig").arg(context.kubectl().kubeconfig()).args(["-namespace", context.namespace()]);
    flagger.args([
        "-mesh-provider",
        "smi:v1alpha3",
        "-port",
        &PORT.to_string(),
        "-metrics-server",
        "http://127.0.0.1:9",
    ]);
    let flagger = beside.serve(&beside.node(context)?, "flagger", flagger, PORT)?;
    let outcome = drive(context);
    outcome.with_context(|| format!("Flagger said: {}", flagger.said()))
}

fn drive(context: &Context) -> Result<()> {
    wait::until(PROMOTED, "Flagger to take over", || Ok((phase(context)? == "Initialized").then_some(())))?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "before")?;
    load.wait_for(WINDOW, SOON)?;
    context.apply(&deployment("v2"))?;
    let mut followed = BTreeSet::new();
    wait::until(PROMOTED, "Flagger to promote", || {
        let weight = weight(context)?;
        if weight > 0 && !followed.contains(&weight) {
            step(&load, weight)?;
            // Flagger may have gone on meanwhile, and then it was two weights that were measured as one.
            if self::weight(context)? == weight {
                followed.insert(weight);
            }
        }
        Ok((phase(context)? == "Succeeded").then_some(()))
    })?;
    ensure(followed == BTreeSet::from([25, 50]), || format!("traffic followed the weights {followed:?} alone"))?;
    load.phase("after")?;
    let after = load.wait_for(WINDOW, SOON)?.phase;
    ensure(after.of("v2") == after.ok, || format!("the old version still answers: {:?}", after.by_name))?;
    load.stop()?.total.expect_clean()
}

/// The Deployment that users edit.
fn deployment(version: &str) -> Value {
    let mut checkout = App::server("checkout").deployment();
    checkout["items"][0]["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["serve", "--name", version]);
    // Flagger scales it.
    if let Some(spec) = checkout["items"][0]["spec"].as_object_mut() {
        spec.remove("replicas");
    }
    checkout
}

fn canary() -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "checkout"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
            "service": {"port": 80, "targetPort": 8080, "portName": "http"},
            "analysis": {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 25},
        },
    })
}

fn phase(context: &Context) -> Result<String> {
    let canary = context.kubectl().get("canaries.flagger.app/checkout")?;
    Ok(canary["status"]["phase"].as_str().unwrap_or_default().to_owned())
}

/// What Flagger wants the new version to receive, in percent.
fn weight(context: &Context) -> Result<u32> {
    let split = context.kubectl().get("trafficsplits.v1alpha3.split.smi-spec.io/checkout")?;
    let mut backends = split["spec"]["backends"].as_array().into_iter().flatten();
    let canary = backends.find(|backend| backend["service"] == "checkout-canary");
    let weight = canary.and_then(|canary| canary["weight"].as_u64()).context("Flagger's split names no canary")?;
    Ok(u32::try_from(weight)?)
}
