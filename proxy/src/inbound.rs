//! THE INBOUND PATH: accept → mTLS or plaintext → protocol → (per request) authorize → forward to the application.
//!
//! A meshed peer's ALPN says what is inside. Plaintext comes from callers outside the mesh: served or refused as the policy of the
//! port says. The application is always dialled at the pod's own address, never at loopback.

mod authorize;
mod h1;
mod h2;
mod plain;
mod request;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tulle_core::authz::MtlsMode;
use tulle_core::codes::Reason;
use tulle_core::identity::SpiffeId;
use tulle_core::sidecar::OWN_PORTS;

use crate::access_log::Line;
use crate::error::Failure;
use crate::http::sniff::{PEEK_BYTES, peek_until, peek_within};
use crate::http::{Version, sniff};
use crate::io::Stream;
use crate::metrics::cells::HttpCells;
use crate::metrics::detection::Detected;
use crate::metrics::{Labels, Side};
use crate::tls::{Hello, MeshProtocol, TlsStream, mesh_hello, peer_identity};
use crate::upstream::Way;
use crate::upstream::dial::Terms;
use crate::worker::Worker;
use crate::{limits, listen, mux, tcp, tls};

/// Time for a handshake, first byte to last.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a plaintext caller's first byte is waited for before the application is dialled in parallel; longer than on the
/// outbound side, because a meshed caller's hello crosses the network.
const FIRST_BYTE: Duration = Duration::from_millis(5);

/// A connection to this pod, its peer known.
pub(crate) struct Connection {
    pub(crate) worker: Rc<Worker>,
    /// Address of this pod that was dialled.
    pub(crate) dialled: SocketAddr,
    /// `None`: plaintext, so nobody in particular.
    pub(crate) peer: Option<SpiffeId>,
    pub(crate) caller: SocketAddr,
    cells: Arc<HttpCells>,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug)]
enum Opening {
    /// A meshed caller's hello.
    Mesh,
    /// Anything else, the application's own TLS included.
    Plain(sniff::Guess),
}

impl From<Opening> for Detected {
    fn from(opening: Opening) -> Self {
        match opening {
            Opening::Mesh => Self::Mesh,
            Opening::Plain(guess) => guess.into(),
        }
    }
}

/// Accepts for ever.
pub(crate) async fn run(worker: Rc<Worker>, listener: TcpListener) {
    loop {
        let stream = listen::accept(&listener).await;
        let Some(open) = limits::take(&worker, Side::Server, &stream) else { continue };
        let worker = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            let _open = open;
            if let Err(failure) = connection(&worker, stream).await {
                worker.report_refused(Side::Server, &failure.into());
            }
        });
    }
}

async fn connection(worker: &Rc<Worker>, stream: TcpStream) -> Result<(), Failure> {
    listen::tune(&stream);
    let refused = |error: io::Error| Failure::new(Reason::Misdirected, format!("inbound connection refused: {error}"));
    let dialled = listen::destination(&worker.shared.config.capture, &stream).map_err(refused)?;
    let caller = stream.peer_addr().map_err(refused)?;
    if !worker.is_own(dialled.ip()) || OWN_PORTS.contains(&dialled.port()) {
        return Err(refused(io::Error::other(format!("{dialled} is no address of this pod's application"))));
    }
    let opening = match peek_within(&stream, FIRST_BYTE, opening).await {
        Ok(Some(opening)) => opening,
        Ok(None) if authorize::mtls_mode(worker, dialled.port()) == MtlsMode::Strict => {
            match first_bytes_in_time(worker, &stream, caller).await? {
                Some(opening) => opening,
                None => return Ok(()),
            }
        }
        Ok(None) => return Box::pin(plain::silent(worker, dialled, caller, stream)).await,
        Err(_) => return Ok(()),
    };
    open(worker, dialled, caller, stream, opening).await
}

/// Goes on once the first bytes are known.
async fn open(
    worker: &Rc<Worker>,
    dialled: SocketAddr,
    caller: SocketAddr,
    stream: TcpStream,
    opening: Opening,
) -> Result<(), Failure> {
    worker.metrics.detections.count(Side::Server, opening.into());
    match opening {
        Opening::Mesh => mesh(worker, dialled, caller, stream).await,
        Opening::Plain(sniff::Guess::Http(version)) => {
            let connection = Connection::new(worker, dialled, caller, None);
            http(&connection, Stream::Plain(stream), version).await
        }
        Opening::Plain(_) => {
            let connection = Connection::new(worker, dialled, caller, None);
            tunnel(&connection, Stream::Plain(stream)).await
        }
    }
}

/// What the bytes so far are, or `None` when more are needed.
fn opening(bytes: &[u8]) -> Option<Opening> {
    match mesh_hello(bytes) {
        Hello::Tls(Some(_)) => Some(Opening::Mesh),
        Hello::Tls(None) => Some(Opening::Plain(sniff::Guess::Bytes)),
        // A meshed hello is half as long, and no more can be seen of this one.
        Hello::Incomplete if bytes.len() == PEEK_BYTES => Some(Opening::Plain(sniff::Guess::Bytes)),
        Hello::Incomplete => None,
        Hello::NotTls => sniff::guess(bytes).map(Opening::Plain),
    }
}

async fn mesh(worker: &Rc<Worker>, dialled: SocketAddr, caller: SocketAddr, stream: TcpStream) -> Result<(), Failure> {
    let failed = |detail: String| Failure::new(Reason::HandshakeFailed, detail);
    let Some(config) = worker.shared.tls.server() else {
        let detail = format!("{caller} called before this proxy had a certificate");
        return Err(Failure::new(Reason::NoCertificate, detail));
    };
    // Boxed: a handshake has kilobytes of state, which the future of every connection would carry.
    let handshake = async { tls::accept(config, stream).await.map(Box::new) };
    let handshake = timeout(HANDSHAKE, Box::pin(handshake)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failed(format!("mTLS handshake from {caller}: {error}"))),
        Err(_) => return Err(failed(format!("mTLS handshake from {caller}: timed out"))),
    };
    let peer = peer_identity(stream.peer_certificates().unwrap_or_default())
        .map_err(|error| Failure::new(Reason::PeerIdentity, format!("{caller}: {error}")))?;
    let protocol = stream.alpn_protocol().and_then(MeshProtocol::from_alpn);
    let connection = Connection::new(worker, dialled, caller, Some(peer));
    match protocol {
        Some(MeshProtocol::H1) => http(&connection, Stream::Tls(stream), Version::H1).await,
        Some(MeshProtocol::H1Shared) => shared(connection, stream).await,
        Some(MeshProtocol::H2) => http(&connection, Stream::Tls(stream), Version::H2).await,
        Some(MeshProtocol::Tcp) => tunnel(&connection, Stream::Tls(stream)).await,
        None => Err(failed(format!("{caller} negotiated no protocol of the mesh; is its proxy of another release?"))),
    }
}

/// Many HTTP/1 connections of one peer.
async fn shared(connection: Connection, stream: Box<TlsStream>) -> Result<(), Failure> {
    let connection = Rc::new(connection);
    let served = mux::serve(stream, &connection.worker.shared.drain, |stream| {
        let connection = Rc::clone(&connection);
        tokio::task::spawn_local(async move { http(&connection, Stream::Mux(stream), Version::H1).await });
    });
    if let Err(error) = served.await {
        tracing::debug!(%error, "shared inbound connection ended");
    }
    Ok(())
}

async fn http(connection: &Connection, stream: Stream, version: Version) -> Result<(), Failure> {
    let drain = &connection.worker.shared.drain;
    let served = match version {
        Version::H1 => crate::h1::serve(&request::Inbound::new(connection), stream, drain).await,
        // Boxed: HTTP/1 connections, which are many, need not carry the state of an HTTP/2 one.
        Version::H2 => Box::pin(crate::http2::serve(&request::Inbound::new(connection), stream, drain)).await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "inbound connection ended");
    }
    Ok(())
}

async fn tunnel(connection: &Connection, stream: Stream) -> Result<(), Failure> {
    let worker = &connection.worker;
    if let Err(refusal) = authorize::connection(connection) {
        worker.report_refused(Side::Server, &refusal);
        return Ok(());
    }
    let upstream = worker.upstream(connection.dialled, Way::Local).tcp(&worker.shared.tls, Terms::default()).await?;
    tcp::join(stream, upstream, worker.metrics.tcp(connection.labels()), connection.line()).await;
    Ok(())
}

impl Connection {
    fn new(worker: &Rc<Worker>, dialled: SocketAddr, caller: SocketAddr, peer: Option<SpiffeId>) -> Self {
        let cells = worker.metrics.http(labels(worker, dialled, peer.as_ref()));
        Self { worker: Rc::clone(worker), dialled, peer, caller, cells }
    }

    fn labels(&self) -> Labels {
        labels(&self.worker, self.dialled, self.peer.as_ref())
    }

    /// What is written of it as a connection that carries bytes.
    fn line(&self) -> Option<Box<Line>> {
        let log = &self.worker.shared.access_log;
        log.is_on().then(|| {
            let mut line = Box::new(Line::of_connection(log, Side::Server));
            self.describe(&mut line);
            line
        })
    }

    /// Says who called what.
    fn describe(&self, line: &mut Line) {
        line.peer = self.peer.as_ref().map(ToString::to_string).unwrap_or_default();
        line.caller = Some(self.caller);
        line.endpoint = Some(self.dialled);
        line.mtls = self.peer.is_some();
    }
}

/// Labels of a call to this pod.
fn labels(worker: &Worker, dialled: SocketAddr, peer: Option<&SpiffeId>) -> Labels {
    let pod = &worker.shared.config.pod;
    let (src_namespace, src_workload) = match peer {
        Some(peer) => (Arc::from(peer.namespace().as_str()), Arc::from(peer.service_account())),
        None => (Arc::from(""), Arc::from("unmeshed")),
    };
    Labels {
        side: Side::Server,
        src_namespace,
        src_workload,
        dst_namespace: Arc::from(pod.namespace.as_str()),
        dst_service: Arc::from(pod.workload_name()),
        route: Arc::from(""),
        backend: Arc::from(dialled.port().to_string()),
        mtls: peer.is_some(),
    }
}

/// Waits for the first bytes for as long as the caller takes.
async fn first_bytes(stream: &TcpStream) -> io::Result<Option<Opening>> {
    peek_until(stream, opening).await
}

/// The same where bytes are not allowed, so that no application's patience decides; `None`: it has closed.
async fn first_bytes_in_time(
    worker: &Worker,
    stream: &TcpStream,
    caller: SocketAddr,
) -> Result<Option<Opening>, Failure> {
    let heard = timeout(HANDSHAKE, first_bytes(stream)).await.map(Result::unwrap_or_default);
    if !matches!(heard, Ok(Some(_))) {
        worker.metrics.detections.count(Side::Server, Detected::Silent);
    }
    heard.map_err(|_| Failure::new(Reason::HandshakeFailed, format!("{caller} called and was silent")))
}

#[cfg(test)]
mod tests;
