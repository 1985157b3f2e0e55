//! What peers send, for the fuzz targets: each parser behind a plain function of bytes, with what it learned as plain values.
//!
//! The parsers stay private. What is here shows the parts of an answer that a target can hold against a rule or a reference.

use rustls_pki_types::CertificateDer;

pub use crate::discovery::parsers::{Cluster, Reached};
pub use crate::h1::parsers::{Asked, Dechunker, Framed, Request, Response, request, response};
use crate::http::sniff::{Guess, guess};
pub use crate::http2::parsers::{Call, call};
pub use crate::mux::parsers::Shared;
use crate::tls::{Hello, mesh_hello, peer_identity, server_name};

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// Too few to tell.
    Undecided,
    /// Something else.
    Not,
    /// This protocol; the empty name is TLS of the application.
    Is(&'static str),
}

/// Whether bytes begin HTTP.
pub fn http(bytes: &[u8]) -> Sniffed {
    match guess(bytes) {
        None => Sniffed::Undecided,
        Some(Guess::Bytes) => Sniffed::Not,
        Some(Guess::Http(version)) => Sniffed::Is(version.as_str()),
    }
}

/// Whether bytes begin TLS, and of whom.
pub fn hello(bytes: &[u8]) -> Sniffed {
    match mesh_hello(bytes) {
        Hello::Incomplete => Sniffed::Undecided,
        Hello::NotTls => Sniffed::Not,
        Hello::Tls(mesh) => Sniffed::Is(if mesh.is_some() { "mesh" } else { "" }),
    }
}

/// The server that a ClientHello names, if it is one and if it names any.
pub fn server(bytes: &[u8]) -> Option<Option<Box<str>>> {
    if let Hello::Tls(name) = server_name(bytes) { Some(name) } else { None }
}

/// The identity a certificate names, whoever signed it.
pub fn certificate(der: &[u8]) -> Option<String> {
    peer_identity(&[CertificateDer::from(der)]).ok().map(|id| id.as_str().to_owned())
}
