//! Wiring: which tasks there are, who owns them, and what follows leadership.
//!
//! Every replica: admin port, authority, issuer. The leader besides: controllers, trust bundle, webhook certificate.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::ISSUER_PORT;
use tulle_runtime::admin::{self, Checks};
use tulle_runtime::served_cert::ServedCert;
use tulle_runtime::shutdown::Shutdown;
use tulle_runtime::{serve, tls};

use crate::apply::Writer;
use crate::ca::Authority;
use crate::ca::store::Store;
use crate::config::{ADMIN_PORT, Config, LEASE};
use crate::controllers::Controllers;
use crate::desired::Settings;
use crate::issuer::serving::Serving;
use crate::issuer::{self, Issuer};
use crate::keepers::webhook::certificate::Names;
use crate::keepers::{self, trust_bundle};
use crate::lease::{Candidate, Fence};
use crate::metrics::Metrics;

/// Longest end of the process after SIGTERM; the chart's grace period is 30 s.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(15);
/// Longest wait for a first answer of the API server, to connect and to send.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest silence of a connection on which an answer is awaited. The API server sends a bookmark a minute on a quiet
/// watch, so only a dead connection is this silent.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

type Authorities = watch::Receiver<Option<Arc<Authority>>>;

/// Runs one replica until SIGTERM.
///
/// # Errors
/// A port is taken, there is no cluster to talk to, or a task failed.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let client = client().await?;
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let checks = Checks::default();
    let admin = listen(ADMIN_PORT).await?;
    let (sender, authorities) = watch::channel(None);
    let writer = Writer::new(client.clone(), Fence::open(), &config.pod_name);
    let store = Store {
        client: client.clone(),
        writer, // events only: the Secret itself is created by whoever is first
        namespace: config.system_namespace.clone(),
        ttl: config.ca_ttl,
        authority: sender,
        check: checks.register("certificate authority"),
        metrics: Arc::clone(&metrics),
    };
    issuer_tasks(&config, &client, &authorities, &checks, &metrics, &shutdown).await?;
    shutdown.spawn("certificate authority", store.keep(shutdown.token()));
    shutdown.spawn("admin", admin::serve(admin, checks, Arc::new(registry), shutdown.token()));
    shutdown.spawn("leadership", lead(config, client, authorities, metrics, shutdown.token()));
    shutdown.wait(SHUTDOWN_DEADLINE).await
}

async fn issuer_tasks(
    config: &Config,
    client: &Client,
    authorities: &Authorities,
    checks: &Checks,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let served = ServedCert::empty();
    let serving = Serving {
        identity: config.identity()?,
        authority: authorities.clone(),
        served: Arc::clone(&served),
        check: checks.register("issuer"),
        metrics: Arc::clone(metrics),
    };
    let routes = issuer::routes(Issuer {
        client: client.clone(),
        authority: authorities.clone(),
        trust_domain: config.trust_domain.clone(),
        leaf_ttl: config.leaf_ttl,
        metrics: Arc::clone(metrics),
    });
    let listener = listen(ISSUER_PORT).await?;
    shutdown.spawn("issuer certificate", serving.keep(shutdown.token()));
    shutdown.spawn("issuer", serve::https(listener, tls::server_config(served), routes, shutdown.token()));
    Ok(())
}

/// Candidate, leader, candidate, … until `stop`.
async fn lead(
    config: Config,
    client: Client,
    authorities: Authorities,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut candidate = Candidate::new(client.clone(), &config.system_namespace, LEASE, &config.pod_name);
    while let Some(fence) = candidate.lead(&stop).await {
        tracing::info!(lease = LEASE, "this replica leads");
        metrics.leads(true);
        let term = CancellationToken::new();
        let _end = term.clone().drop_guard();
        let leader = tokio::spawn(leader_tasks(
            config.clone(),
            client.clone(),
            fence.clone(),
            authorities.clone(),
            metrics.clone(),
            term.clone(),
        ));
        let abort = leader.abort_handle();
        tokio::select! {
            () = candidate.keep(&fence, &stop) => {
                term.cancel();
                abort.abort();
            }
            ended = leader => {
                metrics.leads(false);
                ended.context("a task of the leader panicked")?;
                anyhow::bail!("a task of the leader ended by itself");
            }
        }
        metrics.leads(false);
        tracing::info!(lease = LEASE, "this replica no longer leads");
    }
    candidate.release().await;
    Ok(())
}

/// What only the leader does. Each part comes back from its own failures; none returns before the term ends.
async fn leader_tasks(
    config: Config,
    client: Client,
    fence: Fence,
    authorities: Authorities,
    metrics: Arc<Metrics>,
    term: CancellationToken,
) {
    let writer = Writer::new(client, fence, &config.pod_name);
    let names = Names { namespace: config.system_namespace.clone(), cluster_domain: config.cluster_domain.clone() };
    let webhook = keepers::webhook::Keeper { writer: writer.clone(), names, metrics: Arc::clone(&metrics) };
    let controllers = Controllers {
        settings: Settings {
            system_namespace: config.system_namespace.clone(),
            trust_domain: config.trust_domain,
            cluster_domain: config.cluster_domain,
        },
        writer: writer.clone(),
        metrics,
    };
    let smi = async {
        if config.smi {
            keepers::smi::keep(&writer).await;
        }
    };
    tokio::join!(
        controllers.run(term),
        webhook.keep(),
        smi,
        trust_bundle::keep(&writer, &config.system_namespace, authorities),
    );
}

async fn client() -> anyhow::Result<Client> {
    let mut config =
        kube::Config::infer().await.context("no cluster to talk to: neither in a pod nor with a kubeconfig")?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true; // the time counts from the request, not from when its connection went idle
    Client::try_from(config).context("make the API client")
}

/// On every address of both families.
async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let dual = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match TcpListener::bind(dual).await {
        Ok(listener) => Ok(listener),
        // A node without IPv6 has no such address.
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("listen on port {port}")),
    }
}
