//! An undeclared port whose client is silent: the server is dialled meanwhile, and whichever side speaks first decides.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tulle_core::route::bytes::Hello;

use super::hello::Heard;
use super::tunnel::{self, Connected};
use super::{Connection, decide, declared_http, hello, http};
use crate::error::Failure;
use crate::http::Version;
use crate::http::sniff::{Greeting, Guess, greeting, guess, peek_until};
use crate::io::Stream;
use crate::metrics::Side;
use crate::metrics::detection::Detected;
use crate::tcp;

/// A server's first words: a greeting fits.
const GREETING_BYTES: usize = 4096;

/// Who spoke first.
enum First {
    /// The client, HTTP. The connection opened for bytes is dropped unused.
    Http(Version),
    /// The client, anything else, its end included.
    Client(Connected),
    /// The server, with so many bytes, and what they say.
    Server(Connected, usize, Greeting),
    /// Nobody: the server has ended or broken, which [`tcp::join`] finds again.
    Nobody(Connected),
}

impl First {
    /// How it is counted.
    fn detected(&self) -> Detected {
        match self {
            Self::Http(version) => Guess::Http(*version).into(),
            Self::Client(_) => Detected::Bytes,
            Self::Server(_, _, Greeting::Http2) => Detected::Http2,
            Self::Server(_, _, Greeting::Bytes) => Detected::ServerFirst,
            Self::Server(_, _, Greeting::Answer) | Self::Nobody(_) => Detected::Silent,
        }
    }
}

/// See the module.
pub(super) async fn run(connection: Rc<Connection>, mut stream: TcpStream) -> Result<(), Failure> {
    let (greeters, dialled) = (&connection.worker.greeters, connection.dialled);
    let mut words = [0; GREETING_BYTES];
    let first = first(&connection, &stream, &mut words).await?;
    connection.worker.metrics.detections.count(Side::Client, first.detected());
    let connected = match first {
        First::Http(version) => {
            greeters.remove(dialled);
            return http(connection, stream, version).await;
        }
        // It is dropped unused as well where the ClientHello may lead elsewhere.
        First::Client(connected) if decide::asks_hello(&connection) => match hello::hear(&stream).await {
            Some(Heard::Other) | None => connected,
            Some(heard) => {
                drop(connected);
                return tunnel::run(&connection, stream, heard.hello()).await;
            }
        },
        First::Client(connected) | First::Nobody(connected) => connected,
        First::Server(connected, length, greeting) => {
            match greeting {
                Greeting::Http2 => {
                    drop(connected);
                    return declared_http(connection, stream, Version::H2).await;
                }
                Greeting::Answer => {}
                Greeting::Bytes => greeters.insert(dialled),
            }
            if stream.write_all(&words[..length]).await.is_err() {
                return Ok(());
            }
            connected.cells.received_bytes.add(length as u64);
            connected
        }
    };
    let Connected { upstream, cells, line } = connected;
    tcp::join(Stream::Plain(stream), upstream, cells, line).await;
    Ok(())
}

/// Dials the server and listens to both sides. When both have spoken, the client counts, also where it did while the server was dialled:
/// a handshake broken off would be a failed one to the other proxy.
async fn first(connection: &Connection, client: &TcpStream, words: &mut [u8]) -> Result<First, Failure> {
    let mut connected = tunnel::connect(connection, Hello::Absent).await?;
    Ok(tokio::select! {
        biased;
        guess = opening(client) => match guess {
            Guess::Http(version) => First::Http(version),
            Guess::Bytes => First::Client(connected),
        },
        read = connected.upstream.read(words) => match read {
            Ok(length) if length > 0 => First::Server(connected, length, greeting(&words[..length])),
            Ok(_) | Err(_) => First::Nobody(connected),
        },
    })
}

/// What the client says first. One that ends, or breaks, without a word says no HTTP.
async fn opening(client: &TcpStream) -> Guess {
    peek_until(client, guess).await.ok().flatten().unwrap_or(Guess::Bytes)
}

#[cfg(test)]
mod tests;
