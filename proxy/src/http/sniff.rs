//! What a connection carries, told from its first bytes, which stay in the kernel's buffer.

use std::io;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::Version;

/// Bytes looked at: a ClientHello with a post-quantum key share is 1.5–2 KiB.
pub(crate) const PEEK_BYTES: usize = 4096;

/// Beginning of HTTP/2 with prior knowledge (RFC 9113 §3.4). No HTTP/1 method is called `PRI`.
const H2_PREFACE: &[u8] = b"PRI ";

/// Methods by which an undeclared port is recognised as HTTP/1 (RFC 9110 §9, RFC 5789).
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// HTTP of this version.
    Http(Version),
    /// Anything else.
    Bytes,
}

/// Guesses from the bytes so far; `None`: there are not enough to tell.
pub(crate) fn guess(bytes: &[u8]) -> Option<Guess> {
    if bytes.starts_with(H2_PREFACE) {
        return Some(Guess::Http(Version::H2));
    }
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return Some(Guess::Http(Version::H1));
    }
    let undecided = agree(H2_PREFACE, bytes) || METHODS.iter().any(|method| agree(method, bytes));
    (!undecided).then_some(Guess::Bytes)
}

/// Whether `bytes` and `prefix` agree as far as both go.
fn agree(prefix: &[u8], bytes: &[u8]) -> bool {
    let shared = prefix.len().min(bytes.len());
    prefix[..shared] == bytes[..shared]
}

/// What the first words of a server say, where the client has said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// HTTP/2: its server need not wait for the client with its preface, a SETTINGS frame (RFC 9113 §3.4).
    Http2,
    /// HTTP/1: an answer to nothing, before the connection is closed (RFC 9110 §15.5.9).
    Answer,
    /// Anything else.
    Bytes,
}

/// Reads a server's first words.
pub(crate) fn greeting(bytes: &[u8]) -> Greeting {
    match bytes {
        // Length in settings of six bytes, type, no flags, stream 0 (RFC 9113 §4.1, §6.5).
        [0, 0, length, 4, 0, 0, 0, 0, 0, ..] if length % 6 == 0 => Greeting::Http2,
        [b'H', b'T', b'T', b'P', b'/', ..] => Greeting::Answer,
        _ => Greeting::Bytes,
    }
}

/// Waits until `decide` gives an answer about the bytes received so far; they are not consumed. `None` at end of stream.
/// Wakes only when new bytes arrive.
pub(crate) async fn peek_until<T>(stream: &TcpStream, decide: impl FnMut(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    peek::<PEEK_BYTES, T>(stream, decide).await
}

/// [`peek_until`] for answers that may take more bytes than usual.
pub(crate) async fn peek<const BYTES: usize, T>(
    stream: &TcpStream,
    mut decide: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    stream
        .async_io(Interest::READABLE, || {
            let mut buffer = [0; BYTES];
            let length = rustix::net::recv(stream, &mut buffer[..], RecvFlags::PEEK)?.0;
            if length == 0 {
                return Ok(None);
            }
            decide(&buffer[..length]).map(Some).ok_or_else(|| io::ErrorKind::WouldBlock.into())
        })
        .await
}

/// [`peek_until`] with a limit; `Ok(None)` also when the time is over.
pub(crate) async fn peek_within<T>(
    stream: &TcpStream,
    limit: Duration,
    decide: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    tokio::time::timeout(limit, peek_until(stream, decide)).await.unwrap_or(Ok(None))
}

#[cfg(test)]
mod tests;
