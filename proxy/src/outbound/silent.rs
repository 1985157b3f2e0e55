//! An undeclared port whose client is silent: the server is dialled meanwhile, and whichever side speaks first decides.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tulle_core::route::bytes::Hello;

use super::hello::Heard;
use super::tunnel::{self, Connected};
use super::{Connection, decide, hello, http};
use crate::error::Failure;
use crate::http::sniff::{Guess, guess, peek_until};
use crate::io::Stream;
use crate::tcp;

/// A server's first words: a greeting fits.
const GREETING_BYTES: usize = 4096;

/// Who spoke first.
enum First {
    /// The client, with this.
    Client(Guess),
    /// The server, with so many bytes.
    Server(usize),
    /// Nobody: one side has closed.
    Nobody,
}

/// See the module.
pub(super) async fn run(connection: Rc<Connection>, mut stream: TcpStream) -> Result<(), Failure> {
    let Connected { mut upstream, cells, line } = tunnel::connect(&connection, Hello::Absent).await?;
    let mut greeting = [0; GREETING_BYTES];
    let decide = |bytes: &[u8]| Some(guess(bytes)).filter(|guess| *guess != Guess::Unknown);
    let first = tokio::select! {
        biased;
        client = peek_until(&stream, decide) => client.ok().flatten().map_or(First::Nobody, First::Client),
        server = upstream.read(&mut greeting) => match server {
            Ok(length) if length > 0 => First::Server(length),
            Ok(_) | Err(_) => First::Nobody,
        },
    };
    match first {
        // The connection opened for bytes is dropped unused.
        First::Client(Guess::Http(version)) => {
            drop(upstream);
            return http(connection, stream, version).await;
        }
        // As it is where its ClientHello may lead elsewhere.
        First::Client(_) if decide::asks_hello(&connection) => match hello::hear(&stream).await {
            Some(Heard::Other) => {}
            Some(heard) => {
                drop(upstream);
                return tunnel::run(&connection, stream, heard.hello()).await;
            }
            None => return Ok(()),
        },
        First::Client(_) => {}
        First::Server(length) => {
            if stream.write_all(&greeting[..length]).await.is_err() {
                return Ok(());
            }
            cells.received_bytes.add(length as u64);
        }
        First::Nobody => return Ok(()),
    }
    tcp::join(Stream::Plain(stream), upstream, cells, line).await;
    Ok(())
}
