//! The life of pods does not disturb the traffic: rolling restarts lose nothing, Jobs end, StatefulSets have names.
//!
//! Fails when: a proxy leaves before its last request, callers keep sending to a pod that is gone, a new pod is called
//! before it can answer, a sidecar keeps a Job alive, or a pod name is not resolved to the pod's identity.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tulle_e2e::app::{self, App};
use tulle_e2e::ledger::{self, Verdict};
use tulle_e2e::{pods, wait};

use crate::context::{Context, ROLLOUT, ensure};

const RPS: u32 = 200;
const RESTARTS: usize = 5;

/// Five rolling restarts of the server under load from three kinds of client.
pub(crate) fn run(context: &Context) -> Result<()> {
    let folder = ledger_folder(context)?;
    let folder_name = folder.display().to_string();
    context.apply(&app::service("server", &[("app", "server")]))?;
    let clients = [("http1", "http://server:80/"), ("h2", "http://server:81/"), ("grpc-stream", "http://server:82/")];
    let mut apps = vec![("server", App::server("server").replicas(2).ledger_folder(&folder_name))];
    apps.extend(clients.map(|(mode, target)| (mode, App::load(mode, target, mode))));
    context.deploy(&apps)?;
    let loads = clients.iter().map(|(mode, _)| context.load(mode)).collect::<Result<Vec<_>>>()?;
    for load in &loads {
        load.start(RPS / clients.len() as u32, None, "restarts")?;
        load.wait_for(20, Duration::from_secs(30))?;
    }
    for restart in 1..=RESTARTS {
        context.kubectl().run(["rollout", "restart", "deployment/server"])?;
        context.kubectl().rolled_out("deployment/server", ROLLOUT)?;
        for (load, (mode, _)) in loads.iter().zip(clients) {
            load.stats()?.total.expect_clean().with_context(|| format!("{mode}, restart {restart}"))?;
        }
    }
    // The last of the old pods leaves its ledger when it ends.
    let expected = 2 * RESTARTS;
    wait::until(ROLLOUT, "the ledgers of all old pods", || {
        Ok((ledger::of_folder(&folder)?.len() >= expected).then_some(()))
    })?;
    for (load, (mode, _)) in loads.iter().zip(clients) {
        load.stop()?.total.expect_clean().with_context(|| mode.to_owned())?;
        let mut servers = ledger::of_folder(&folder)?;
        servers.extend(ledger::of_pods(context.reach(), context.kubectl(), "app=server")?);
        let verdict = Verdict::over(&load.ids()?, &servers);
        eprintln!("  {mode}: {} requests over {RESTARTS} restarts, {verdict:?}", verdict.ok);
        verdict.expect_clean().with_context(|| mode.to_owned())?;
    }
    fs::remove_dir_all(&folder).context("cannot remove the ledgers")
}

/// A folder that pods can write to: node and machine see the node's own under one name.
fn ledger_folder(context: &Context) -> Result<PathBuf> {
    let folder = context.cluster().first_node().folder().join(format!("ledgers-{}", context.namespace()));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    Ok(folder)
}

/// A Job with a sidecar reaches a meshed server and completes.
pub(crate) fn job(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[("server", App::server("server"))])?;
    context.apply(&App::job("once", "http://server/").as_job())?;
    context.kubectl().wait("condition=Complete", "job/once", ROLLOUT)?;
    let pod = pods::one(context.kubectl(), "app=once")?;
    ensure(tulle_e2e::mesh::is_meshed(&pod), || "the Job's pod has no proxy, so nothing was shown".to_owned())
}

/// The pods of a StatefulSet answer under their own names, through mutual TLS.
pub(crate) fn stateful_set(context: &Context) -> Result<()> {
    context.apply(&App::server("store").replicas(2).service_account("default").stateful_set())?;
    context.deploy(&[("web", App::idle("web"))])?;
    context.kubectl().rolled_out("statefulset/store", ROLLOUT)?;
    for name in ["store-0", "store-1"] {
        let url = format!("http://{name}.store:8080/");
        let answer = wait::until(Duration::from_secs(30), &format!("an answer from {name}"), || {
            let answer = context.fetch_one("web", &[&url])?;
            Ok((answer.status == 200).then_some(answer))
        })?;
        ensure(answer.body.contains(&format!("\"id\":\"{name}\"")), || {
            format!("{name} was asked, but {} answered", answer.body)
        })?;
    }
    Ok(())
}
