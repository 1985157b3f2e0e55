//! Is this connection mesh TLS? Answered from the peeked first bytes, which stay in the socket.
//!
//! rustls parses a copy of the bytes; there is no parser of our own to get wrong.

use rustls::server::Acceptor;

use super::MeshProtocol;

/// More bytes than this without a complete ClientHello are no TLS: one record (RFC 8446 §5.1) with its header. A hello with an
/// X25519MLKEM768 share is about 1.5 KiB, so it may arrive in two segments.
pub(crate) const MAX_HELLO_BYTES: usize = 5 + (1 << 14);

/// `handshake` (RFC 8446 §5.1), the type of the first record.
const HANDSHAKE: u8 = 22;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// Too few bytes to tell: peek again when more have arrived.
    Incomplete,
    /// Something else than TLS.
    NotTls,
    /// A ClientHello; `alpn` is the mesh protocol it offers, `None` for the application's own TLS.
    Tls {
        /// First mesh protocol offered.
        alpn: Option<MeshProtocol>,
    },
}

/// Judges the peeked first bytes of a connection.
pub(crate) fn mesh_hello(bytes: &[u8]) -> Hello {
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
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let alpn = hello.alpn().and_then(|mut ids| ids.find_map(MeshProtocol::from_alpn));
                return Hello::Tls { alpn };
            }
            Ok(None) => {}
            Err(_) => return Hello::NotTls,
        }
    }
    if bytes.len() >= MAX_HELLO_BYTES { Hello::NotTls } else { Hello::Incomplete }
}
