//! The server that the application's own TLS asks for, where a rule wants to know before a backend is dialled. The bytes stay in the kernel's
//! buffer and go to whoever is chosen as they came.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tulle_core::route::bytes::Hello;

use super::{Connection, tunnel};
use crate::error::Failure;
use crate::http::sniff::peek;
use crate::tls::{self, MAX_HELLO_BYTES, server_name};

/// How long a ClientHello that has begun may take to be whole. What takes longer is passed on as any other bytes, so that the server's own
/// limit decides.
const HELLO: Duration = Duration::from_secs(5);

/// What the first bytes turned out to be.
#[derive(Debug)]
pub(super) enum Heard {
    /// No ClientHello, or none that was whole in time and within [`MAX_HELLO_BYTES`].
    Other,
    /// A ClientHello, with the server it names.
    Tls(Option<Box<str>>),
}

impl Heard {
    /// The same for rules.
    pub(super) fn hello(&self) -> Hello<'_> {
        match self {
            Heard::Other => Hello::Absent,
            Heard::Tls(None) => Hello::Unnamed,
            Heard::Tls(Some(name)) => Hello::For(name),
        }
    }
}

/// Waits for the client to speak, as long as that takes, and goes on as it says.
pub(super) async fn run(connection: &Connection, stream: TcpStream) -> Result<(), Failure> {
    match hear(&stream).await {
        Some(heard) => tunnel::run(connection, stream, heard.hello()).await,
        None => Ok(()),
    }
}

/// Waits for the client to speak; `None` where it closes instead.
pub(super) async fn hear(stream: &TcpStream) -> Option<Heard> {
    hear_within(stream, HELLO).await
}

async fn hear_within(stream: &TcpStream, limit: Duration) -> Option<Heard> {
    if let Some(heard) = peek::<MAX_HELLO_BYTES, _>(stream, |bytes| Some(read(bytes))).await.ok()?? {
        return Some(heard);
    }
    match timeout(limit, peek::<MAX_HELLO_BYTES, _>(stream, read)).await {
        Ok(heard) => heard.ok()?,
        Err(_) => Some(Heard::Other),
    }
}

/// What the bytes so far are, or `None` when more are needed.
fn read(bytes: &[u8]) -> Option<Heard> {
    match server_name(bytes) {
        tls::Hello::Incomplete => None,
        tls::Hello::NotTls => Some(Heard::Other),
        tls::Hello::Tls(name) => Some(Heard::Tls(name)),
    }
}

#[cfg(test)]
mod tests;
