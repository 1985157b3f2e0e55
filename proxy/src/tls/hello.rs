//! Is this connection TLS, the mesh's or another's, and which server does it ask for? Answered from the peeked first bytes, which stay in the
//! socket.
//!
//! rustls parses a copy of the bytes; there is no parser of our own to get wrong.

use rustls::server::{Acceptor, ClientHello};

use super::MeshProtocol;

/// More bytes than this without a complete ClientHello are no TLS: one record (RFC 8446 §5.1) with its header. A hello with an
/// X25519MLKEM768 share is about 1.5 KiB, so it may arrive in two segments.
pub(crate) const MAX_HELLO_BYTES: usize = 5 + (1 << 14);

/// `handshake` (RFC 8446 §5.1), the type of the first record.
const HANDSHAKE: u8 = 22;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hello<T> {
    /// Too few bytes to tell: peek again when more have arrived.
    Incomplete,
    /// Something else than TLS.
    NotTls,
    /// A ClientHello, with what was asked of it.
    Tls(T),
}

/// The first mesh protocol offered; `None` for the application's own TLS.
pub(crate) fn mesh_hello(bytes: &[u8]) -> Hello<Option<MeshProtocol>> {
    read(bytes, |hello| hello.alpn().and_then(|mut ids| ids.find_map(MeshProtocol::from_alpn)))
}

/// The server that is asked for, in lower case (RFC 6066 §3); `None` where it is not said, or an address.
pub(crate) fn server_name(bytes: &[u8]) -> Hello<Option<Box<str>>> {
    read(bytes, |hello| hello.server_name().map(Into::into))
}

/// Reads the peeked first bytes of a connection.
fn read<T>(bytes: &[u8], ask: impl FnOnce(&ClientHello<'_>) -> T) -> Hello<T> {
    match bytes.first() {
        None => return Hello::Incomplete,
        Some(&HANDSHAKE) => {}
        Some(_) => return Hello::NotTls,
    }
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(0) | Err(_) => return Hello::NotTls,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Hello::Tls(ask(&accepted.client_hello())),
            Ok(None) => {}
            Err(_) => return Hello::NotTls,
        }
    }
    if bytes.len() >= MAX_HELLO_BYTES { Hello::NotTls } else { Hello::Incomplete }
}
