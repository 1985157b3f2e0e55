//! Opens a connection to an upstream: TCP, and for the mesh mutual TLS with the peer's identity checked before a byte is sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tulle_core::codes::Reason;
use tulle_core::identity::SpiffeId;
use tulle_core::snapshot::Backend;

use super::{Key, Way};
use crate::error::Failure;
use crate::io::Stream;
use crate::listen::tune;
use crate::tls::{self, MeshProtocol, TlsContext, peer_identity};

/// Time for a TCP connection. A lost SYN is repeated after one second (RFC 6298 §2.1), so two such losses are forgiven.
const CONNECT: Duration = Duration::from_millis(3500);
/// Time for the handshake after that.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// What holds for a connection that is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms<'a> {
    /// Who may answer; nobody is asked in plaintext.
    pub(crate) expected: &'a [SpiffeId],
    /// Limit for TCP and TLS together; `None`: [`CONNECT`] and [`HANDSHAKE`].
    pub(crate) limit: Option<Duration>,
}

impl<'a> From<&'a Backend> for Terms<'a> {
    fn from(backend: &'a Backend) -> Self {
        Self { expected: &backend.identities, limit: backend.policy.connect_timeout }
    }
}

/// An open connection and who answered.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    /// `None`: plaintext.
    pub(crate) peer: Option<SpiffeId>,
}

/// Opens a connection for `protocol`. To be boxed where it is awaited: a handshake has kilobytes of state, which the future of every
/// connection would carry.
pub(crate) async fn dial(
    context: &TlsContext,
    key: Key,
    protocol: MeshProtocol,
    terms: Terms<'_>,
) -> Result<Dialled, Failure> {
    let began = Instant::now();
    let stream = connect(key.address, began + terms.limit.unwrap_or(CONNECT)).await?;
    if key.way != Way::Mesh {
        return Ok(Dialled { stream: Stream::Plain(stream), peer: None });
    }
    let config = context.client(protocol).ok_or_else(|| {
        Failure::new(Reason::NoCertificate, "this proxy has no certificate yet; see its log for the issuer's answer")
    })?;
    // An IP address as server name sends no SNI: nothing about the callee is readable on the wire.
    let name = ServerName::IpAddress(key.address.ip().into());
    let deadline = terms.limit.map_or_else(|| Instant::now() + HANDSHAKE, |limit| began + limit);
    let handshake = timeout_at(deadline, tls::connect(config, name, stream)).await;
    let stream = flatten(handshake).map_err(|error| {
        Failure::new(Reason::HandshakeFailed, format!("mTLS handshake with {}: {error}", key.address))
    })?;
    let peer = verify(stream.peer_certificates(), key.address, terms.expected)?;
    Ok(Dialled { stream: Stream::Tls(Box::new(stream)), peer: Some(peer) })
}

async fn connect(address: SocketAddr, deadline: Instant) -> Result<TcpStream, Failure> {
    let stream = flatten(timeout_at(deadline, TcpStream::connect(address)).await)
        .map_err(|error| Failure::new(Reason::ConnectFailed, format!("connect to {address}: {error}")))?;
    tune(&stream);
    Ok(stream)
}

fn flatten<T>(outcome: Result<io::Result<T>, tokio::time::error::Elapsed>) -> io::Result<T> {
    outcome
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "timed out; is a NetworkPolicy in the way?")))
}

fn verify(
    chain: Option<&[CertificateDer<'_>]>,
    address: SocketAddr,
    expected: &[SpiffeId],
) -> Result<SpiffeId, Failure> {
    let peer = peer_identity(chain.unwrap_or_default())
        .map_err(|error| Failure::new(Reason::PeerIdentity, format!("{address}: {error}")))?;
    if expected.contains(&peer) {
        return Ok(peer);
    }
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let detail = format!("{address} is {peer}, expected one of [{}]", expected.join(", "));
    Err(Failure::new(Reason::PeerIdentity, detail))
}
