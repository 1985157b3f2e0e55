//! Connections that carry bytes: to a backend over mTLS, or untouched to an address outside the mesh.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::decide::{self, Decision, Tried};
use super::{Connection, request};
use crate::error::Failure;
use crate::io::Stream;
use crate::metrics::cells::TcpCells;
use crate::metrics::{Labels, Side};
use crate::tcp;
use crate::upstream::{Upstream, Way};
use crate::worker::Worker;

/// Chooses a backend, connects and joins.
pub(super) async fn run(connection: &Connection, stream: TcpStream) -> Result<(), Failure> {
    let (upstream, cells) = connect(connection).await?;
    finish(tcp::join(Stream::Plain(stream), upstream, cells).await);
    Ok(())
}

/// Connects to an endpoint of the destination's backend, to another one where the first does not answer.
pub(super) async fn connect(connection: &Connection) -> Result<(Stream, Arc<TcpCells>), Failure> {
    let worker = &connection.worker;
    let decision = decide::bytes(connection)?;
    let mut tried = Tried::new();
    loop {
        let upstream = decide::endpoint(worker, &decision.lane.view, &tried);
        match upstream.tcp(&worker.shared.tls, &decision.lane.view.backend.identities).await {
            Ok(stream) => return Ok((stream, cells(worker, &decision, upstream))),
            Err(failure) if tried.len() < decision.attempts() => {
                tracing::debug!(%failure, "trying another endpoint");
                upstream.load.failed(std::time::Instant::now());
                tried.push(upstream.key.address);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Passes a connection through to an address the mesh knows nothing of.
pub(super) async fn outside(worker: &Rc<Worker>, dialled: SocketAddr, stream: TcpStream) -> Result<(), Failure> {
    let upstream = worker.upstream(dialled, Way::Plain);
    let remote = upstream.tcp(&worker.shared.tls, &[]).await?;
    let pod = &worker.shared.config.pod;
    let outside: Arc<str> = Arc::from("outside");
    let cells = worker.metrics.tcp(Labels {
        side: Side::Client,
        src_namespace: Arc::from(pod.namespace.as_str()),
        src_workload: Arc::from(pod.workload_name()),
        dst_namespace: Arc::from(""),
        dst_service: Arc::clone(&outside),
        route: Arc::from(""),
        backend: outside,
        mtls: false,
    });
    finish(tcp::join(Stream::Plain(stream), remote, cells).await);
    Ok(())
}

/// The end of a byte stream is its peers' business; a reset is no error of the mesh.
pub(super) fn finish(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "TCP connection ended");
    }
}

fn cells(worker: &Worker, decision: &Decision, upstream: &Upstream) -> Arc<TcpCells> {
    worker.metrics.tcp(request::lane_labels(worker, &decision.lane, upstream.key.way == Way::Mesh))
}
