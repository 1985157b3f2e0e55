//! The way back: an answer, the upstream's or the mesh's own, to the caller, and what becomes of both connections.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::attempt::Exchange;
use super::body::Message;
use super::connection::{Answered, Lease};
use super::head::Framing;
use super::wire::Wire;
use super::write::{self, Manner};
use crate::answer::Answer;
use crate::buffer::Buffer;
use crate::metrics::cells::{Count, HttpCells};
use crate::tcp;

/// How long a caller that is still sending may take to see the end of its connection.
const LINGER: Duration = Duration::from_millis(500);
/// As much of what it sends is read meanwhile: unread bytes would turn the end into a reset, which can destroy the answer.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Passes the answer that has begun on `lease` to the caller.
pub(super) async fn pass(mut exchange: Exchange<'_>, mut lease: Lease, cells: &HttpCells) -> io::Result<Answered> {
    let facts = lease.facts;
    let manner = Manner::of(&exchange.facts, &facts, exchange.draining);
    let upstream = &mut lease.connection.wire;
    let out = std::mem::take(&mut exchange.answer);
    let mut answer = Message::new(out, facts.framing, manner.chunked, false);
    let mut counted = 0;
    let passed = std::future::poll_fn(|cx| {
        // A request may still be flowing while its answer does: both directions make progress on their own.
        exchange.poll_send(cx, upstream)?;
        let polled = answer.poll(cx, upstream, exchange.caller);
        cells.response_bytes.add(answer.passed - std::mem::replace(&mut counted, answer.passed));
        polled
    });
    if let Err(stop) = passed.await {
        cells.aborted.add(1);
        tracing::debug!(?stop, "an answer broke off");
        return Ok(Answered::Abort);
    }
    if facts.status == 101 {
        return Ok(Answered::Upgraded(lease.connection.wire));
    }
    let whole = exchange.sent && exchange.request.is_read();
    if whole
        && exchange.broken.is_none()
        && facts.keep_alive
        && facts.framing != Framing::Close
        && upstream.input.is_empty()
    {
        lease.in_flight.0.give_back(lease.connection);
    }
    // A request that was not read to its end leaves bytes of which nobody knows what they are.
    Ok(if manner.close || !whole { Answered::Close } else { Answered::Keep })
}

/// Writes an answer of the mesh itself. `head_only`: it was asked for by HEAD.
pub(super) async fn answer(caller: &mut Wire, answer: &Answer, head_only: bool, close: bool) -> io::Result<()> {
    let mut out = Buffer::new();
    write::answer(&mut out, answer, close);
    caller.stream.write_all(out.filled()).await?;
    if !head_only {
        caller.stream.write_all(&answer.body).await?;
    }
    caller.stream.flush().await
}

/// Ends the caller's connection so that it sees all that was written.
pub(super) async fn close(caller: &mut Wire) -> io::Result<()> {
    caller.stream.shutdown().await?;
    let drained = async {
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            caller.input.clear();
            let read = std::future::poll_fn(|cx| caller.poll_fill(cx)).await;
            match read {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                _ => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
    Ok(())
}

/// Joins caller and upstream after a 101, beginning with what was read of either already.
pub(super) async fn join(mut caller: Wire, mut upstream: Wire) -> io::Result<()> {
    upstream.stream.write_all(caller.input.filled()).await?;
    caller.input.clear();
    caller.stream.write_all(upstream.input.filled()).await?;
    upstream.input.clear();
    upstream.stream.flush().await?;
    caller.stream.flush().await?;
    caller.rest();
    upstream.rest();
    // Bytes after an upgrade are in no metric; the request that asked for it is.
    tcp::relay(caller.stream, upstream.stream, &Count::default(), &Count::default()).await
}
