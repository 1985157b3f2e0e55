//! THE HTTP/2 PATH of both sides: one task a connection, one small future a stream inside the caller's, frames passed on as they are.
//!
//! ```text
//! caller ── HEADERS ─▶ judge, decide ─▶ stream on a shared connection ─▶ upstream
//! caller ◀─ HEADERS, DATA, trailers ── the same, with each frame's bytes untouched ── upstream
//! ```
//! Streams are polled by their caller's connection and not as tasks of their own: what a batch of frames wakes is done before the
//! connection writes, so that everything ready leaves in one write, and a stream costs one allocation.
//!
//! A sender is given room for more only when the receiver's window has taken what it sent: memory is bounded end to end.
//!
//! What differs between the sides is a [`Role`]: whether and where a request goes.

mod attempt;
mod bells;
mod client;
mod connection;
mod flow;
mod head;
mod keepalive;
mod meter;
mod outbox;
#[cfg(feature = "parsers")]
pub(crate) mod parsers;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use attempt::{AttemptError, Exchange};
pub(crate) use client::{Sender, open};
pub(crate) use connection::serve;

pub(crate) use stream::{Forwarding, Lease, Role};

/// Bytes in flight to us on one stream.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes in flight to us on one connection. h2 closes connections that hold more unread tiny frames than half of this divided by
/// their overhead, so it must be at least 4 MiB for streams of small messages.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Streams a peer may have open at once.
const STREAMS_MAX: u32 = 1000;
/// Largest header list accepted.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// Most of one stream that waits for its connection to be written; the receiver's windows bound the sum.
const STREAM_UNWRITTEN_BYTES_MAX: usize = 256 * 1024;
/// Streams opened before the peer has said how many it allows.
const STREAMS_FIRST: usize = 100;
/// How often a peer is asked for a sign of life, and how long it has to answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// See [`PING_INTERVAL`].
const PING_TIMEOUT: Duration = Duration::from_secs(10);
