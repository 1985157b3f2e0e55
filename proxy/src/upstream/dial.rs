//! Opens a connection to an upstream: TCP, and for the mesh mutual TLS with the peer's identity checked before a byte is sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tulle_core::codes::Reason;
use tulle_core::identity::SpiffeId;

use super::{Key, Way};
use crate::error::Failure;
use crate::io::Stream;
use crate::listen::tune;
use crate::tls::{self, MeshProtocol, TlsContext, peer_identity};

/// Time for a TCP connection. A lost SYN is repeated after one second (RFC 6298 §2.1), so two such losses are forgiven.
const CONNECT: Duration = Duration::from_millis(3500);
/// Time for the handshake after that.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// An open connection and who answered.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    /// `None`: plaintext.
    pub(crate) peer: Option<SpiffeId>,
}

/// Opens a connection for `protocol`. `expected` is who may answer; it is not asked for plaintext. To be boxed where it is awaited: a
/// handshake has kilobytes of state, which the future of every connection would carry.
pub(crate) async fn dial(
    context: &TlsContext,
    key: Key,
    protocol: MeshProtocol,
    expected: &[SpiffeId],
) -> Result<Dialled, Failure> {
    let stream = connect(key.address).await?;
    if key.way != Way::Mesh {
        return Ok(Dialled { stream: Stream::Plain(stream), peer: None });
    }
    let config = context.client(protocol).ok_or_else(|| {
        Failure::new(Reason::NoCertificate, "this proxy has no certificate yet; see its log for the issuer's answer")
    })?;
    // An IP address as server name sends no SNI: nothing about the callee is readable on the wire.
    let name = ServerName::IpAddress(key.address.ip().into());
    let handshake = timeout(HANDSHAKE, tls::connect(config, name, stream)).await;
    let stream = flatten(handshake).map_err(|error| {
        Failure::new(Reason::HandshakeFailed, format!("mTLS handshake with {}: {error}", key.address))
    })?;
    let peer = verify(stream.peer_certificates(), key.address, expected)?;
    Ok(Dialled { stream: Stream::Tls(Box::new(stream)), peer: Some(peer) })
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = flatten(timeout(CONNECT, TcpStream::connect(address)).await)
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
