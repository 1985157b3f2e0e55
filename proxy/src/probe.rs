//! The prober: runs the kubelet's network probes against the application, from inside the pod.
//!
//! The webhook points the kubelet here, because under strict mTLS the kubelet could not reach the application, and because a TCP probe
//! through the proxy would succeed while the application is down. Anybody who reaches the health port reaches this code, so it serves
//! declared probes only, forwards nothing of the caller, follows no redirect, and its answers are short.

mod grpc;
mod http;
mod insecure;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tulle_core::sidecar::{PROBE_PATH_PREFIX, Probe, ProbeAction, ProbeTable};

/// Probes at the same time. A pod has at most three a container; more are callers that are no kubelet.
const CONCURRENT: usize = 32;

/// What the kubelet sees as user agent starts with this; applications recognise probes by it.
const USER_AGENT: &str = "kube-probe/tulle";

/// Runs declared probes.
#[derive(Debug)]
pub(crate) struct Prober {
    table: ProbeTable,
    /// The kubelet dials the pod's primary address, so does the prober: what listens on loopback alone is not healthy.
    address: IpAddr,
    slots: Semaphore,
}

/// Result of a request for a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No such probe is declared.
    Unknown,
    /// Too many at once.
    Busy,
    /// The application is well.
    Healthy,
    /// It is not, in one sentence.
    Unhealthy(String),
}

impl Prober {
    /// A prober of these probes against the application at `address`, the pod's primary address.
    pub(crate) fn new(table: ProbeTable, address: IpAddr) -> Prober {
        Prober { table, address, slots: Semaphore::new(CONCURRENT) }
    }

    /// Runs the probe that the request path `/probe/<container>/<field>` names.
    pub(crate) async fn run(&self, path: &str) -> Outcome {
        let Some(probe) = self.declared(path) else { return Outcome::Unknown };
        let Ok(_slot) = self.slots.try_acquire() else { return Outcome::Busy };
        // Kubernetes validates timeoutSeconds to be at least 1.
        let seconds = probe.timeout_seconds.max(1);
        match timeout(Duration::from_secs(seconds.into()), self.check(probe)).await {
            Ok(Ok(())) => Outcome::Healthy,
            Ok(Err(reason)) => Outcome::Unhealthy(reason),
            Err(_) => Outcome::Unhealthy(format!("the application did not answer within {seconds} s")),
        }
    }

    fn declared(&self, path: &str) -> Option<&Probe> {
        self.table.get(path.strip_prefix(PROBE_PATH_PREFIX)?.strip_prefix('/')?)
    }

    async fn check(&self, probe: &Probe) -> Result<(), String> {
        match &probe.action {
            ProbeAction::HttpGet { port, path, https, headers } => {
                let address = SocketAddr::new(self.address, *port);
                http::get(connect(address).await?, address, path, *https, headers).await
            }
            ProbeAction::TcpSocket { port } => connect(SocketAddr::new(self.address, *port)).await.map(drop),
            ProbeAction::Grpc { port, service } => {
                let address = SocketAddr::new(self.address, *port);
                grpc::check(connect(address).await?, address, service).await
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|cause| format!("cannot connect to the application at {address}: {cause}"))
}

#[cfg(test)]
mod tests;
