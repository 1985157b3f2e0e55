//! Wiring of `run`: one control thread (this one) and N data threads, and the tree of their tasks.
//!
//! ```text
//! control: discovery · identity · health · admin · capture proof · signals
//! data 0…N-1: outbound listener → connections · inbound listener → connections · sweep
//! ```
//! They share the published snapshot, the TLS configurations, the question queue of discovery and the cells of the metrics.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::{INBOUND_PORT, OUTBOUND_PORT};
use tulle_runtime::telemetry::LogFilter;

use crate::access_log::AccessLog;
use crate::config::{Capture, Config};
use crate::discovery;
use crate::drain::Drain;
use crate::metrics::Shard;
use crate::spans::Spans;
use crate::spans::export::Exporter;
use crate::tls::TlsContext;
use crate::worker::{Shared, Worker};
use crate::{control, inbound, limits, listen, outbound};

/// How often a draining proxy looks whether anything is still open.
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// Runs the sidecar until it has drained after SIGTERM.
pub(crate) fn run(mut config: Config, log: LogFilter) -> anyhow::Result<()> {
    config.connections_max = limits::connections(config.connections_max);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let (discovery, watches) = discovery::new(&config);
        let access_log = config.access_log.map(AccessLog::to_stdout).transpose()?.unwrap_or_default();
        let tracing = config.tracing.clone().map(|tracing| (tracing.endpoint, Spans::new(tracing.sampling)));
        let shared = Arc::new(Shared {
            tls: TlsContext::new(config.trust_domain.clone()),
            drain: Drain::default(),
            discovery,
            access_log,
            spans: tracing.as_ref().map(|(_, (spans, _))| Arc::clone(spans)),
            config,
        });
        let shards = start_workers(&shared)?;
        tokio::task::spawn_local(watches.run(shutdown.clone()));
        control::start(&shared, shards, log, &shutdown).await?;
        let exporter = tracing.map(|(endpoint, (spans, ended))| {
            let exporter = Exporter::new(spans, ended, endpoint, &shared.config.pod);
            tokio::task::spawn_local(exporter.run(shutdown.clone()))
        });
        wait_for_end(&shared.drain).await?;
        shutdown.cancel();
        if let Some(exporter) = exporter {
            exporter.await?;
        }
        tracing::info!("drained; leaving");
        Ok(())
    })
}

/// Starts the data threads; both of a thread's listeners are open when this returns.
fn start_workers(shared: &Arc<Shared>) -> anyhow::Result<Vec<Arc<Shard>>> {
    let shards: Vec<Arc<Shard>> = (0..shared.config.workers).map(|_| Arc::default()).collect();
    for (index, shard) in shards.iter().enumerate() {
        let (shared, shard) = (Arc::clone(shared), Arc::clone(shard));
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(format!("data-{index}")).spawn(move || work(shared, shard, &started))?;
        starting.recv().context("a data thread ended before it listened")??;
    }
    Ok(shards)
}

/// A data thread's life. Its runtime and everything on it end with the process.
fn work(shared: Arc<Shared>, shard: Arc<Shard>, started: &std::sync::mpsc::SyncSender<anyhow::Result<()>>) {
    let opened = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .context("cannot start a data thread's runtime")
        .and_then(|runtime| {
            let _inside = runtime.enter();
            let (outbound, inbound) = open(&shared.config.capture)?;
            drop(_inside);
            Ok((runtime, outbound, inbound))
        });
    let (runtime, outbound, inbound) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let _ = started.send(Ok(()));
    runtime.block_on(async move {
        let worker = Worker::new(shared, shard);
        for listener in outbound {
            tokio::task::spawn_local(outbound::run(Rc::clone(&worker), listener));
        }
        for listener in inbound {
            tokio::task::spawn_local(inbound::run(Rc::clone(&worker), listener));
        }
        worker.sweep().await;
    });
}

/// A data thread's listeners, outbound and inbound.
fn open(capture: &Capture) -> anyhow::Result<(Vec<TcpListener>, Vec<TcpListener>)> {
    let (outbound, inbound) = match capture {
        Capture::Redirect => {
            (listen::listen(OUTBOUND_PORT).map(|one| vec![one]), listen::listen(INBOUND_PORT).map(|one| vec![one]))
        }
        Capture::Listen { outbound, inbound } => {
            (listen::listen_at(outbound), listen::listen_at(inbound.iter().map(|(own, _)| own)))
        }
    };
    Ok((
        outbound.context("cannot listen for outbound connections")?,
        inbound.context("cannot listen for inbound connections")?,
    ))
}

/// Waits for SIGTERM or SIGINT, then until nothing is open. There is no deadline of our own: the kubelet has one.
async fn wait_for_end(drain: &Drain) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(open = drain.open_connections(), "draining");
    drain.start();
    while drain.open_connections() > 0 {
        tokio::time::sleep(DRAIN_POLL).await;
    }
    Ok(())
}
