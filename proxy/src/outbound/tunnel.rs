//! Connections that carry bytes: to a backend over mTLS, or untouched to an address outside the mesh.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tulle_core::route::bytes::Hello;

use super::decide;
use super::{Connection, request};
use crate::access_log::Line;
use crate::error::Failure;
use crate::io::Stream;
use crate::metrics::cells::TcpCells;
use crate::metrics::{Labels, Side};
use crate::tcp;
use crate::upstream::dial::Terms;
use crate::upstream::{Upstream, Way};
use crate::worker::{Lane, Tried, Worker};

/// A connection to an endpoint, where it is counted, and what is written of it.
pub(super) struct Connected {
    pub(super) upstream: Stream,
    pub(super) cells: Arc<TcpCells>,
    pub(super) line: Option<Box<Line>>,
}

/// Chooses a backend, connects and joins.
pub(super) async fn run(connection: &Connection, stream: TcpStream, hello: Hello<'_>) -> Result<(), Failure> {
    let Connected { upstream, cells, line } = connect(connection, hello).await?;
    tcp::join(Stream::Plain(stream), upstream, cells, line).await;
    Ok(())
}

/// Connects to an endpoint of the destination's backend, to another one where the first does not answer.
pub(super) async fn connect(connection: &Connection, hello: Hello<'_>) -> Result<Connected, Failure> {
    let worker = &connection.worker;
    let decision = decide::bytes(connection, hello)?;
    let lane = &decision.lane;
    let mut tried = Tried::new();
    loop {
        let upstream = lane.view.endpoint(worker.draw(), &tried, std::time::Instant::now());
        match upstream.tcp(&worker.shared.tls, Terms::from(&*lane.view.backend)).await {
            Ok(stream) => return Ok(connected(worker, lane, upstream, stream)),
            Err(failure) if tried.len() < decision.attempts() => {
                tracing::debug!(%failure, "trying another endpoint");
                upstream.load.failed(std::time::Instant::now());
                tried.push(upstream.key.address);
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn connected(worker: &Worker, lane: &Lane, to: &Upstream, upstream: Stream) -> Connected {
    let mtls = to.key.way == Way::Mesh;
    let line = line(worker, to.key.address).map(|mut line| {
        request::describe(&mut line, lane);
        line.mtls = mtls;
        line
    });
    Connected { upstream, cells: worker.metrics.tcp(request::lane_labels(worker, lane, mtls)), line }
}

/// What is written of a connection to this endpoint.
fn line(worker: &Worker, endpoint: SocketAddr) -> Option<Box<Line>> {
    let log = &worker.shared.access_log;
    log.is_on().then(|| {
        let mut line = Box::new(Line::of_connection(log, Side::Client));
        line.endpoint = Some(endpoint);
        line
    })
}

/// Passes a connection through to an address the mesh knows nothing of.
pub(super) async fn outside(worker: &Rc<Worker>, dialled: SocketAddr, stream: TcpStream) -> Result<(), Failure> {
    let upstream = worker.upstream(dialled, Way::Plain);
    let remote = upstream.tcp(&worker.shared.tls, Terms::default()).await?;
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
    tcp::join(Stream::Plain(stream), remote, cells, line(worker, dialled)).await;
    Ok(())
}
