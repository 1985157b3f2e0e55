//! What a test has at hand: a namespace of its own in the mesh, and ways to look into it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use tulle_e2e::app::{self, App, PROGRAM};
use tulle_e2e::inside::Inside;
use tulle_e2e::ledger::{self, Verdict};
use tulle_e2e::load::Load;
use tulle_e2e::reach::Reach;
use tulle_e2e::{Cluster, Kubectl, mesh, pods};

/// A pod with a proxy is ready within seconds; a busy machine with two cores takes longer.
pub(crate) const ROLLOUT: Duration = Duration::from_secs(120);

/// One test's view of the cluster.
pub(crate) struct Context {
    cluster: Cluster,
    kubectl: Kubectl,
    inside: Inside,
    reach: Reach,
    namespace: String,
}

/// An answer to `fetch` in a pod.
#[derive(Debug, Deserialize)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Fetched {
    /// A header or trailer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().chain(&self.trailers);
        all.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).next()
    }
}

impl Context {
    /// Makes the namespace; one that a failed run left behind goes first.
    pub(crate) fn new(test: &str, cluster: &Cluster) -> Result<Self> {
        let namespace = format!("e2e-{test}");
        cluster.kubectl().delete(&format!("namespace {namespace}"))?;
        let kubectl = cluster.kubectl().namespace(&namespace, &[mesh::INJECT])?;
        let inside = Inside::of(&cluster.first_node())?;
        let reach = Reach::Node(inside.clone());
        Ok(Self { cluster: cluster.clone(), kubectl, inside, reach, namespace })
    }

    /// Lets go of the namespace without waiting for its end.
    pub(crate) fn clean_up(&self) {
        let _ = self.cluster.kubectl().run(["delete", "namespace", &self.namespace, "--wait=false"]);
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// kubectl in the test's namespace.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    pub(crate) fn inside(&self) -> &Inside {
        &self.inside
    }

    pub(crate) fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn apply(&self, manifest: &Value) -> Result<()> {
        self.kubectl.apply(&manifest.to_string()).map(drop)
    }

    /// Applies Deployments and waits until all of them are ready.
    pub(crate) fn deploy(&self, apps: &[(&str, App)]) -> Result<()> {
        self.apply(&app::list(apps.iter().map(|(_, app)| app.deployment()).collect()))?;
        apps.iter().try_for_each(|(name, _)| self.kubectl.rolled_out(&format!("deployment/{name}"), ROLLOUT))
    }

    /// A load's pod.
    pub(crate) fn load(&self, name: &str) -> Result<Load> {
        Load::find(&self.reach, &self.kubectl, name)
    }

    /// `checkout` with the versions `v1` and `v2`, split between them, all of it meshed.
    pub(crate) fn canary(&self, weights: [i64; 2]) -> Result<()> {
        self.apply(&app::service("checkout", &[("role", "checkout")]))?;
        self.apply(&app::service("checkout-v1", &[("app", "v1")]))?;
        self.apply(&app::service("checkout-v2", &[("app", "v2")]))?;
        self.split(weights)?;
        let version = |name| App::server(name).label("role", "checkout").service_account("checkout");
        self.deploy(&[("v1", version("v1")), ("v2", version("v2"))])
    }

    /// Sets the weights of the canary.
    pub(crate) fn split(&self, [v1, v2]: [i64; 2]) -> Result<()> {
        self.apply(&app::traffic_split("checkout", &[("checkout-v1", v1), ("checkout-v2", v2)]))
    }

    /// Stops the load and compares both ends of it; `selector` finds all servers it can have reached.
    pub(crate) fn settle(&self, load: &Load, selector: &str) -> Result<Verdict> {
        ledger::settle(load, &self.reach, &self.kubectl, selector)
    }

    /// Sends requests from the application container of a workload, one answer each.
    pub(crate) fn fetch(&self, workload: &str, arguments: &[&str]) -> Result<Vec<Fetched>> {
        let program: Vec<&str> = [PROGRAM, "fetch"].into_iter().chain(arguments.iter().copied()).collect();
        let printed = self.kubectl.exec(&format!("deployment/{workload}"), app::CONTAINER, &program)?;
        printed
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("fetch printed {line:?}")))
            .collect()
    }

    /// Sends one request from a workload.
    pub(crate) fn fetch_one(&self, workload: &str, arguments: &[&str]) -> Result<Fetched> {
        self.fetch(workload, arguments)?.pop().context("fetch printed nothing")
    }

    /// Time to the first byte of a TCP server as seen from a workload, in milliseconds.
    pub(crate) fn first_byte_ms(&self, workload: &str, address: &str, arguments: &[&str]) -> Result<f64> {
        let program: Vec<&str> = [PROGRAM, "tcp", address].into_iter().chain(arguments.iter().copied()).collect();
        let printed = self.kubectl.exec(&format!("deployment/{workload}"), app::CONTAINER, &program)?;
        let report: Value = serde_json::from_str(printed.trim())?;
        report["first_byte_ms"].as_f64().context("tcp printed no time")
    }

    /// The proxy's metrics of the one pod of an app.
    pub(crate) fn metrics(&self, app: &str) -> Result<String> {
        let address = pods::address(&self.kubectl, app, mesh::HEALTH_PORT)?;
        let answer = self.inside.http("GET", address, "/metrics")?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Sum over the series of a metric whose line contains all of `parts`.
    pub(crate) fn metric(&self, app: &str, name: &str, parts: &[&str]) -> Result<f64> {
        let text = self.metrics(app)?;
        let lines = text.lines().filter(|line| line.starts_with(name) && parts.iter().all(|part| line.contains(part)));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }
}

/// Fails with `what` unless it holds.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { bail!("{}", what()) }
}
