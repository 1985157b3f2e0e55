//! The mesh's own parts and the API server may die: what is configured goes on, and what is new waits.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tulle_e2e::app::App;
use tulle_e2e::cluster::Component;
use tulle_e2e::load::Load;
use tulle_e2e::{mesh, pods, wait};

use crate::context::{Context, ROLLOUT, ensure};

const RPS: u32 = 200;
const API_SERVER_AWAY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(60);

/// kill -9 of both operators: nothing fails, and edits work during and after.
///
/// Fails when proxies need the operator to serve or to follow a weight, or when it does not take up its work again.
pub(crate) fn operator(context: &Context) -> Result<()> {
    let load = under_load(context)?;
    kill(context, "operator")?;
    // Proxies watch the API server themselves: the edit arrives without an operator.
    context.split([0, 100])?;
    all_traffic_on(&load, "v2")?;
    wait::until(SOON, "the operator to report the edit", || {
        let split = context.kubectl().get("trafficsplits.tulle.dev/checkout")?;
        let generation = &split["metadata"]["generation"];
        let conditions = split["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let current = |kind| {
            conditions
                .iter()
                .any(|one| one["type"] == kind && one["status"] == "True" && one["observedGeneration"] == *generation)
        };
        Ok(current("Ready").then_some(()))
    })?;
    newcomer_is_served(context, "after-operator")?;
    context.settle(&load, "role=checkout").map(drop)
}

/// kill -9 of the webhook, then none at all: pods of the namespace wait instead of starting outside the mesh.
///
/// Fails when a pod starts without a proxy, when running pods are disturbed, or when other namespaces are.
pub(crate) fn webhook(context: &Context) -> Result<()> {
    let load = under_load(context)?;
    kill(context, "webhook")?;
    let system = context.cluster().kubectl().namespaced(mesh::SYSTEM_NAMESPACE);
    system.run(["scale", "deployment/tulle-webhook", "--replicas=0"])?;
    let _restored = Scaled(context);
    // Pods on their way out still answer, as they should: wait for the very last.
    wait::until(SOON, "the webhook to be gone", || {
        let pods = system.get_with(&["pods", "--selector", "app.kubernetes.io/component=webhook"])?;
        Ok(pods["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })?;
    context.apply(&App::server("waiting").deployment())?;
    wait::until(SOON, "a pod to be refused", || {
        let events = context.kubectl().get_with(&["events", "--field-selector", "reason=FailedCreate"])?;
        Ok(events["items"].as_array().is_some_and(|events| !events.is_empty()).then_some(()))
    })?;
    ensure(pods::list(context.kubectl(), "app=waiting")?.is_empty(), || "a pod started without its proxy".to_owned())?;
    // A namespace that has not opted in does not depend on the webhook.
    let plain = context.cluster().kubectl().namespace(&format!("{}-plain", context.namespace()), &[])?;
    plain.apply(&App::server("free").deployment().to_string())?;
    plain.rolled_out("deployment/free", ROLLOUT)?;
    context.cluster().kubectl().run([
        "delete",
        "namespace",
        &format!("{}-plain", context.namespace()),
        "--wait=false",
    ])?;
    system.run(["scale", "deployment/tulle-webhook", "--replicas=2"])?;
    system.rolled_out("deployment/tulle-webhook", ROLLOUT)?;
    // The ReplicaSet tries again with growing pauses: a restart is what a person would do.
    context.kubectl().run(["rollout", "restart", "deployment/waiting"])?;
    context.kubectl().rolled_out("deployment/waiting", ROLLOUT)?;
    let pod = pods::one(context.kubectl(), "app=waiting")?;
    ensure(mesh::is_meshed(&pod), || "the pod that waited has no proxy".to_owned())?;
    context.settle(&load, "role=checkout").map(drop)
}

/// Puts the webhook back, whatever happened.
struct Scaled<'a>(&'a Context);

impl Drop for Scaled<'_> {
    fn drop(&mut self) {
        let system = self.0.cluster().kubectl().namespaced(mesh::SYSTEM_NAMESPACE);
        let _ = system.run(["scale", "deployment/tulle-webhook", "--replicas=2"]);
    }
}

/// The API server is away for a minute: nothing fails, and everything follows when it is back.
///
/// Fails when a proxy empties its configuration on a lost watch, or does not find back.
pub(crate) fn api_server(context: &Context) -> Result<()> {
    let load = under_load(context)?;
    let node = context.cluster().first_node();
    node.kill(Component::ApiServer)?;
    let away = Instant::now();
    let during = wait::until(API_SERVER_AWAY + SOON, "a minute without API server", || {
        load.stats()?
            .total
            .expect_clean()
            .map_or_else(|error| Ok(Some(Err(error))), |()| Ok((away.elapsed() >= API_SERVER_AWAY).then_some(Ok(()))))
    });
    node.start(Component::ApiServer)?;
    context.cluster().wait_for_api()?;
    during?.context("while the API server was away")?;
    wait::until(SOON, "the API server to take an edit", || context.split([0, 100]).map(Some))?;
    all_traffic_on(&load, "v2")?;
    for component in ["operator", "webhook"] {
        let system = context.cluster().kubectl().namespaced(mesh::SYSTEM_NAMESPACE);
        system.rolled_out(&format!("deployment/tulle-{component}"), ROLLOUT)?;
    }
    newcomer_is_served(context, "after-api-server")?;
    context.settle(&load, "role=checkout").map(drop)
}

fn under_load(context: &Context) -> Result<Load> {
    context.canary([100, 0])?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "outage")?;
    load.wait_for(50, Duration::from_secs(30))?;
    Ok(load)
}

fn all_traffic_on(load: &Load, version: &str) -> Result<()> {
    wait::until(SOON, &format!("all traffic to be on {version}"), || {
        load.phase(version)?;
        let phase = load.wait_for(20, SOON)?.phase;
        Ok((phase.of(version) == phase.ok).then_some(()))
    })
}

/// A workload that starts afterwards gets its certificate and its configuration.
fn newcomer_is_served(context: &Context, name: &str) -> Result<()> {
    context.deploy(&[(name, App::idle(name))])?;
    let answer = context.fetch_one(name, &["http://checkout/"])?;
    ensure(answer.status == 200, || format!("a newcomer was not served: {answer:?}"))?;
    ensure(mesh::is_meshed(&pods::one(context.kubectl(), &format!("app={name}"))?), || format!("{name} has no proxy"))
}

/// Sends SIGKILL to every process of a component and waits until its pods are ready again.
fn kill(context: &Context, component: &str) -> Result<()> {
    let program = format!("tulle-{component}");
    let killed = kill_processes(context, component, &program)?;
    if killed == 0 {
        bail!("no process of {component} was found, so nothing was shown");
    }
    let system = context.cluster().kubectl().namespaced(mesh::SYSTEM_NAMESPACE);
    wait::until(SOON, &format!("{component} to be restarted"), || {
        let pods = mesh::control_plane(context.cluster(), component)?;
        let restarts =
            pods.iter().filter(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0)).count();
        Ok((restarts >= killed).then_some(()))
    })?;
    system.rolled_out(&format!("deployment/{program}"), ROLLOUT)
}

fn kill_processes(context: &Context, component: &str, program: &str) -> Result<usize> {
    let node = context.cluster().first_node();
    let mut killed = 0;
    for pod in mesh::control_plane(context.cluster(), component)? {
        let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
        for pid in node.pod_pids(uid)? {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == program {
                kill_process(Pid::from_raw(pid).context("a process number is above 0")?, Signal::KILL)?;
                killed += 1;
            }
        }
    }
    Ok(killed)
}
