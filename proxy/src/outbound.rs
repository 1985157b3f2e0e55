//! THE OUTBOUND PATH: accept → target → protocol → (per request, or once for bytes) route → split → endpoint → mTLS connection → forward.
//!
//! The address the application dialled chooses the service; nothing in the request can reach another one.

mod decide;
mod filter;
mod greeters;
mod h1;
mod h2;
mod hello;
mod request;
mod silent;
mod tunnel;

pub(crate) use greeters::Greeters;
pub(crate) use request::lane_labels;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tulle_core::codes::Reason;
use tulle_core::route::bytes::Hello;
use tulle_core::sidecar::CAPTURE_PROBE_PORT;
use tulle_core::snapshot::{Protocol, Target};

use crate::capture;
use crate::error::Failure;
use crate::http::Version;
use crate::http::sniff::{Guess, guess, peek_until, peek_within};
use crate::io::Stream;
use crate::metrics::Side;
use crate::worker::{Lane, Worker};
use crate::{limits, listen};

/// How long an undeclared port waits for its client's first byte before the server is dialled in parallel. A client that speaks
/// first has its bytes in flight with the handshake; one that does not must not be kept waiting, and is not where the server is one of
/// [`Greeters`].
const FIRST_BYTE: Duration = Duration::from_millis(2);

/// A connection the application opened.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    /// Where the application wanted to go.
    pub(crate) dialled: SocketAddr,
    /// Fixed destination of a pod address; a Service is looked up anew for each request.
    pub(crate) pod: Option<Rc<Lane>>,
}

/// Accepts for ever.
pub(crate) async fn run(worker: Rc<Worker>, listener: TcpListener) {
    loop {
        let stream = listen::accept(&listener).await;
        let Some(open) = limits::take(&worker, Side::Client, &stream) else { continue };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            let _open = open;
            if let Err(failure) = connection(&worker, stream).await {
                worker.report_refused(Side::Client, &failure.into());
            }
        });
    }
}

async fn connection(worker: &Rc<Worker>, mut stream: TcpStream) -> Result<(), Failure> {
    listen::tune(&stream);
    let dialled = listen::destination(&worker.shared.config.capture, &stream)
        .map_err(|error| Failure::new(Reason::Misdirected, format!("outbound connection refused: {error}")))?;
    if dialled.port() == CAPTURE_PROBE_PORT && capture::is_probe(dialled.ip()) {
        let _ = stream.write_all(capture::GREETING).await;
        return Ok(());
    }
    let target = target(worker, dialled).await?;
    let _in_use = worker.shared.discovery.hold(dialled.ip()); // while it is open, what it needs stays watched
    let (protocol, pod) = match target {
        Target::Service(service) => match service.port(dialled.port()) {
            Some(port) => (port.protocol, None),
            None => return Err(decide::no_port(&service.name, dialled)),
        },
        Target::Pod(pod) => (Protocol::Detect, Some(decide::pod(worker, &pod, dialled))),
        Target::Outside => return tunnel::outside(worker, dialled, stream).await,
    };
    let connection = Rc::new(Connection { worker: Rc::clone(worker), dialled, pod });
    match protocol {
        Protocol::Http => declared_http(connection, stream, Version::H1).await,
        Protocol::Http2 | Protocol::Grpc => declared_http(connection, stream, Version::H2).await,
        Protocol::Tcp => tunnel::run(&connection, stream, Hello::Absent).await,
        Protocol::Tls => bytes(&connection, stream).await,
        Protocol::Detect => detect(connection, stream).await,
    }
}

/// What the dialled address stands for, asked once for an unknown one.
async fn target(worker: &Worker, dialled: SocketAddr) -> Result<Target, Failure> {
    let known = || worker.with_snapshot(|snapshot| snapshot.targets.get(&dialled.ip()).cloned());
    if let Some(target) = known() {
        return Ok(target);
    }
    worker.shared.discovery.resolve(dialled.ip()).await.map_err(|unavailable| {
        Failure::new(Reason::DiscoveryUnavailable, format!("nothing is known of {}: {unavailable}", dialled.ip()))
    })?;
    known()
        .ok_or_else(|| Failure::new(Reason::DiscoveryUnavailable, format!("discovery forgot {} at once", dialled.ip())))
}

/// A declared HTTP port waits for its client, as long as that takes, and is never downgraded to bytes. What is neither version is refused
/// in the declared one: by a status, or by the end of the connection (RFC 9113 §3.4).
async fn declared_http(connection: Rc<Connection>, stream: TcpStream, declared: Version) -> Result<(), Failure> {
    match peek_until(&stream, guess).await {
        Ok(Some(Guess::Http(version))) => http(connection, stream, version).await,
        Ok(Some(Guess::Bytes)) => http(connection, stream, declared).await,
        Ok(None) | Err(_) => Ok(()),
    }
}

/// An undeclared port: whichever side speaks first decides.
async fn detect(connection: Rc<Connection>, stream: TcpStream) -> Result<(), Failure> {
    if connection.worker.greeters.contains(connection.dialled) {
        return Box::pin(silent::run(connection, stream)).await;
    }
    let heard = peek_within(&stream, FIRST_BYTE, guess).await;
    if let Ok(Some(guess)) = heard {
        connection.worker.metrics.detections.count(Side::Client, guess.into());
    }
    match heard {
        Ok(Some(Guess::Http(version))) => http(connection, stream, version).await,
        Ok(Some(Guess::Bytes)) => bytes(&connection, stream).await,
        // Boxed: the greeting's buffer would lie in the future of every connection.
        Ok(None) => Box::pin(silent::run(connection, stream)).await,
        Err(_) => Ok(()),
    }
}

/// Bytes go on at once, unless a rule asks which server their ClientHello names.
async fn bytes(connection: &Connection, stream: TcpStream) -> Result<(), Failure> {
    if decide::asks_hello(connection) {
        // Boxed: connections that need not wait do not carry what it takes to.
        return Box::pin(hello::run(connection, stream)).await;
    }
    tunnel::run(connection, stream, Hello::Absent).await
}

async fn http(connection: Rc<Connection>, stream: TcpStream, version: Version) -> Result<(), Failure> {
    let (stream, drain) = (Stream::Plain(stream), &connection.worker.shared.drain);
    let served = match version {
        Version::H1 => crate::h1::serve(&request::Outbound(&connection), stream, drain).await,
        // Boxed: HTTP/1 connections, which are many, need not carry the state of an HTTP/2 one.
        Version::H2 => Box::pin(crate::http2::serve(&request::Outbound(&connection), stream, drain)).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection from the application ended");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
