//! The control thread's tasks beside discovery: identity, health and admin ports, the proof of capture, readiness.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::{ADMIN_PORT, HEALTH_PORT};
use tulle_runtime::telemetry::LogFilter;

use crate::admin::{self, Admin};
use crate::config::Capture;
use crate::health::{self, Health, Readiness};
use crate::identity::{self, IdentityState};
use crate::metrics::render::DataPath;
use crate::metrics::state::State;
use crate::metrics::{self, Shard};
use crate::probe::Prober;
use crate::worker::Shared;
use crate::{capture, listen, memory};

/// Pause between attempts to prove capture.
const PROOF_PAUSE: Duration = Duration::from_millis(200);
/// Time after readiness in which the first connections are made and their code is read.
const SETTLED: Duration = Duration::from_secs(3);

/// Starts the tasks. They end with `shutdown`.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    shards: Vec<Arc<Shard>>,
    log: LogFilter,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let (identity_in, identity) = watch::channel(IdentityState::default());
    let (ready_in, ready) = watch::channel(Readiness::default());
    let config = &shared.config;
    tokio::task::spawn_local(identity::run(
        config.issuer.clone(),
        config.identity.clone(),
        Arc::clone(&shared.tls),
        shared.discovery.bundle(),
        identity_in,
        shutdown.clone(),
    ));
    tokio::task::spawn_local(follow_readiness(Arc::clone(shared), identity.clone(), ready_in));

    tokio::task::spawn_local(metrics::expire(shards.clone(), shutdown.clone()));
    let mut registry = Registry::default();
    registry.register_collector(Box::new(DataPath { shards }));
    registry.register_collector(Box::new(State { shared: Arc::clone(shared), identity: identity.clone() }));
    let health = Health {
        ready: ready.clone(),
        metrics: Arc::new(move |text| {
            // Writing to a String does not fail.
            let _ = prometheus_client::encoding::text::encode(text, &registry);
        }),
        prober: Arc::new(Prober::new(config.probes.clone(), config.pod.primary_ip())),
    };
    let listener = listen::listen(HEALTH_PORT).context("cannot listen on the health port")?;
    tokio::task::spawn_local(health::serve(listener, health, shutdown.clone()));

    let loopback = (Ipv4Addr::LOCALHOST, ADMIN_PORT);
    let listener = TcpListener::bind(loopback).await.context("cannot listen on the admin port")?;
    let shared = Arc::clone(shared);
    let admin = Admin {
        dump: Arc::new(move || dump(&shared, &identity.borrow(), *ready.borrow())),
        set_log: Arc::new(move |filter| log.set(filter).map_err(|error| format!("{error:#}"))),
    };
    tokio::task::spawn_local(admin::serve(listener, admin, shutdown.clone()));
    Ok(())
}

/// Waits until start-up is over and gives back what only it needed, once.
async fn settle() {
    tokio::time::sleep(SETTLED).await;
    memory::release_start_up();
    std::future::pending().await
}

/// Keeps readiness true to its parts. Capture is proven once: the rules live as long as the pod's network namespace.
/// Where none was chosen there is nothing to prove.
async fn follow_readiness(
    shared: Arc<Shared>,
    mut identity: watch::Receiver<IdentityState>,
    ready: watch::Sender<Readiness>,
) {
    let mut initialised = shared.discovery.initialised();
    let families = capture::families(&shared.config.pod.ips);
    let mut proof = std::pin::pin!(async {
        while let Err(error) = capture::prove(&families).await {
            tracing::warn!(%error, "capture is not proven yet");
            tokio::time::sleep(PROOF_PAUSE).await;
        }
    });
    let by_configuration = matches!(shared.config.capture, Capture::Listen { .. });
    let mut readiness = Readiness { capture: by_configuration, ..Readiness::default() };
    let mut settled = std::pin::pin!(settle());
    loop {
        readiness.certificate = identity.borrow_and_update().is_usable();
        readiness.discovery = *initialised.borrow_and_update();
        if ready.send_replace(readiness) != readiness {
            tracing::info!(?readiness, ready = readiness.is_ready(), "readiness changed");
        }
        tokio::select! {
            () = proof.as_mut(), if !readiness.capture => readiness.capture = true,
            () = settled.as_mut(), if readiness.is_ready() => {}
            Ok(()) = identity.changed() => {}
            Ok(()) = initialised.changed() => {}
            else => return,
        }
    }
}

/// What the proxy believes. No key, no token, no header is in it.
fn dump(shared: &Shared, identity: &IdentityState, readiness: Readiness) -> serde_json::Value {
    let facts = shared.discovery.facts();
    let snapshot = shared.discovery.snapshot().load();
    let watches: Vec<_> = facts
        .watches
        .iter()
        .map(|watch| {
            json!({
                "scope": watch.scope.to_string(),
                "initialised": watch.initialised,
                "lastEventSecondsAgo": watch.last_event.map(|event| event.elapsed().as_secs()),
                "failing": watch.failing,
            })
        })
        .collect();
    let applied: Vec<_> = facts
        .applied
        .iter()
        .map(|object| {
            json!({
                "scope": object.scope.to_string(),
                "name": object.name,
                "generation": object.generation,
                "resourceVersion": object.version,
                "error": object.error,
            })
        })
        .collect();
    json!({
        "pod": {
            "name": shared.config.pod.name,
            "namespace": shared.config.pod.namespace.as_str(),
            "addresses": shared.config.pod.ips,
        },
        "readiness": readiness,
        "identity": identity,
        "tls": shared.tls.facts(),
        "generation": facts.generation,
        "addresses": facts.addresses,
        "apiServerAwaySeconds": facts.stale().as_secs(),
        "watches": watches,
        "applied": applied,
        "targets": snapshot.targets.iter().map(|(address, target)| {
            (address.to_string(), json!(format!("{target:?}")))
        }).collect::<serde_json::Map<_, _>>(),
        "policies": snapshot.policies.names().map(ToString::to_string).collect::<Vec<_>>(),
        "openConnections": shared.drain.open_connections(),
        "accessLogLinesLost": shared.access_log.lost(),
    })
}
