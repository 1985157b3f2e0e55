//! The life of the release: tested, upgraded under load, uninstalled without a trace, installed again within a minute.
//!
//! Fails when an upgrade disturbs traffic, an uninstall takes the trust root from under running proxies or leaves
//! something behind, or an installation needs more than a minute to carry its first request.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tulle_e2e::app::{self, App};
use tulle_e2e::{mesh, wait};

use crate::context::{Context, ROLLOUT, ensure};

const RPS: u32 = 200;
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(60);
/// What an uninstall leaves on purpose: the definitions and with them the user's objects, the namespace Helm was told to
/// make, and what the API server keeps of the past.
const KEPT: &[&str] = &["customresourcedefinition", "namespace/tulle-system", "apiservice", "event"];

pub(crate) fn run(context: &Context) -> Result<()> {
    let helm = context.cluster().helm();
    helm.run(["test", mesh::RELEASE, "--namespace", mesh::SYSTEM_NAMESPACE, "--timeout", "120s"])
        .context("helm test")?;
    upgrade_under_load(context)?;
    let refusal = helm.uninstall(mesh::RELEASE, mesh::SYSTEM_NAMESPACE);
    ensure(refusal.is_err(), || "the mesh was uninstalled from under running proxies".to_owned())?;
    context.kubectl().run(["delete", "deployments,trafficsplits.tulle.dev", "--all", "--wait=true"])?;
    for namespace in meshed_namespaces(context)? {
        context.cluster().kubectl().delete(&format!("namespace {namespace}"))?;
    }
    wait::until(ROLLOUT, "the last proxy to end", || {
        let pods = context.cluster().kubectl().get_with(&["pods", "-A", "-l", "tulle.dev/injected=true"])?;
        Ok(pods["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    helm.uninstall(mesh::RELEASE, mesh::SYSTEM_NAMESPACE).context("helm uninstall without proxies")?;
    wait::until(ROLLOUT, "nothing of the mesh to be left", || {
        let left = left_behind(context)?;
        if left.is_empty() { Ok(Some(())) } else { bail!("left behind: {}", left.join(", ")) }
    })?;
    install_again(context)
}

fn upgrade_under_load(context: &Context) -> Result<()> {
    context.canary([50, 50])?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "upgrade")?;
    load.wait_for(50, Duration::from_secs(30))?;
    let mut values = mesh::values(context.cluster());
    // Changes both Deployments, so every pod of the control plane is replaced.
    values.extend(["operator.podAnnotations.e2e=upgrade", "webhook.podAnnotations.e2e=upgrade"].map(str::to_owned));
    mesh::install(&context.cluster().helm(), &values).context("helm upgrade")?;
    context.settle(&load, "role=checkout").map(drop)
}

/// Namespaces of tests before this one: all of them are done.
fn meshed_namespaces(context: &Context) -> Result<Vec<String>> {
    let namespaces = context.cluster().kubectl().get_with(&["namespaces", "-l", "tulle.dev/inject=enabled"])?;
    let names = namespaces["items"].as_array().cloned().unwrap_or_default();
    let names = names.iter().filter_map(|namespace| namespace["metadata"]["name"].as_str().map(str::to_owned));
    Ok(names.filter(|name| name != context.namespace()).collect())
}

/// Everything in the cluster with the mesh's name on it.
fn left_behind(context: &Context) -> Result<Vec<String>> {
    let kubectl = context.cluster().kubectl();
    let kinds = kubectl.run(["api-resources", "--verbs=list", "--output=name"])?;
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let listed = kubectl.run(["get", &kinds.join(","), "--all-namespaces", "--ignore-not-found", "--output=json"])?;
    let listed: Value = serde_json::from_str(&listed)?;
    let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let objects = listed["items"].as_array().cloned().unwrap_or_default();
    let named = objects.iter().map(|object| {
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        (format!("{kind}/{}", text(object, "name")), text(object, "namespace"), object["apiVersion"].to_string())
    });
    Ok(named
        .filter(|(name, namespace, version)| {
            let ours = name.contains("tulle") || namespace == mesh::SYSTEM_NAMESPACE || version.contains("tulle.dev");
            // Kubernetes puts these two into every namespace.
            let everywhere = ["serviceaccount/default", "configmap/kube-root-ca.crt"].contains(&name.as_str());
            ours && !everywhere && !KEPT.iter().any(|kept| name.starts_with(kept))
        })
        .map(|(name, namespace, _)| format!("{namespace}/{name}"))
        .collect())
}

/// From `helm install` to the first request through two proxies.
fn install_again(context: &Context) -> Result<()> {
    let start = Instant::now();
    mesh::install(&context.cluster().helm(), &mesh::values(context.cluster()))?;
    let installed = start.elapsed();
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[("server", App::server("server")), ("client", App::idle("client"))])?;
    let answer = context.fetch_one("client", &["http://server/"])?;
    let served = start.elapsed();
    ensure(answer.status == 200, || format!("the first request was answered with {answer:?}"))?;
    eprintln!("  installed in {:.1} s, first request after {:.1} s", installed.as_secs_f64(), served.as_secs_f64());
    ensure(served < FIRST_REQUEST_MAX, || format!("the first request came after {:.0} s", served.as_secs_f64()))
}
