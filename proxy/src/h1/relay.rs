//! The way back: an answer, the upstream's or the mesh's own, to the caller, and what becomes of both connections.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tulle_core::codes::Reason;

use super::attempt::Exchange;
use super::body::Message;
use super::connection::{Answered, Lease};
use super::head::Framing;
use super::wire::Wire;
use super::write::{self, Manner};
use crate::admission::Admission;
use crate::answer::Answer;
use crate::buffer::Buffer;
use crate::error::Failure;
use crate::record::Record;

/// Most of a request's rest that is read to keep the caller's connection.
pub(super) const SKIPPED_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const SKIP_LIMIT: Duration = Duration::from_secs(1);
/// How long what a caller still sends is read and dropped, so that it sees the end of its connection: unread bytes would turn the end into
/// a reset, which can destroy the answer (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Passes the answer that has begun on `lease` to the caller.
pub(super) async fn pass<R: Admission>(
    role: &R,
    mut exchange: Exchange<'_>,
    mut lease: Lease,
    record: &mut Record,
) -> io::Result<Answered> {
    let facts = lease.facts;
    let manner = Manner::of(&exchange.facts, &facts, exchange.last);
    let upstream = &mut lease.connection.wire;
    let out = std::mem::take(&mut exchange.answer);
    let mut answer = Message::new(out, facts.framing, manner.chunked, false);
    let passed = std::future::poll_fn(|cx| {
        // A request may still be flowing while its answer does: both directions make progress on their own.
        exchange.poll_send(cx, upstream).map_err(|stop| (stop.of_request(), stop))?;
        if exchange.copies.is_some() {
            exchange.settle();
        }
        let polled = answer.poll(cx, upstream, exchange.caller);
        record.flowed(exchange.request.passed, answer.passed);
        polled.map_err(|stop| (stop.of_answer(), stop))
    });
    if let Err((reason, stop)) = passed.await {
        // A caller that went away is nobody's fault, and the drop of the record counts it.
        if reason != Reason::CallerGone {
            let detail = format!("{}: {stop}", lease.in_flight.0.key.address);
            role.broke_off(record, Failure::new(reason, detail));
        }
        return Ok(Answered::Over);
    }
    let whole = exchange.sent && exchange.request.is_read();
    if facts.switched && !whole {
        // The rest of the request would be taken for bytes of the new protocol (RFC 9110 section 7.8).
        let detail = format!("{} changed the protocol before it had the whole request", lease.in_flight.0.key.address);
        role.broke_off(record, Failure::new(Reason::BadResponse, detail));
        return Ok(Answered::Over);
    }
    if facts.switched {
        // Boxed: a change of protocol is rare, and every connection would have room for one.
        Box::pin(join(exchange.caller, upstream, record)).await?;
        return Ok(Answered::Over);
    }
    record.ended();
    if whole
        && exchange.broken.is_none()
        && facts.keep_alive
        && facts.framing != Framing::Close
        && upstream.input.is_empty()
    {
        lease.in_flight.0.give_back(lease.connection);
    }
    Ok(match (manner.close, whole) {
        (true, _) => Answered::Close,
        (false, true) => Answered::Keep,
        (false, false) => skip(&mut exchange).await,
    })
}

/// Reads and drops the rest of an answered request where that is soon done, to keep the caller's connection. A rest that stays is bytes of
/// which nobody knows what they are.
pub(super) async fn skip(exchange: &mut Exchange<'_>) -> Answered {
    if !exchange.may_be_skipped() {
        return Answered::Close;
    }
    let mut limit = SKIPPED_BYTES_MAX;
    let Exchange { caller, request, .. } = exchange;
    let skipped = std::future::poll_fn(|cx| request.poll_discard(cx, caller, &mut limit));
    match tokio::time::timeout(SKIP_LIMIT, skipped).await {
        Ok(Ok(())) => Answered::Keep,
        Ok(Err(_)) | Err(_) => Answered::Close,
    }
}

/// Writes an answer of the mesh itself behind what is in `out`.
pub(super) async fn answer(
    caller: &mut Wire,
    mut out: Buffer,
    answer: &Answer,
    (head_only, close): (bool, bool),
) -> io::Result<()> {
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
        loop {
            caller.input.clear();
            match std::future::poll_fn(|cx| caller.poll_fill(cx)).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drained).await;
    Ok(())
}

/// Joins caller and upstream, which are byte streams now, beginning with what was read of either already.
async fn join(caller: &mut Wire, upstream: &mut Wire, record: &mut Record) -> io::Result<()> {
    upstream.stream.write_all(caller.input.filled()).await?;
    caller.input.clear();
    caller.stream.write_all(upstream.input.filled()).await?;
    upstream.input.clear();
    upstream.stream.flush().await?;
    caller.stream.flush().await?;
    caller.rest();
    upstream.rest();
    record.join(&mut caller.stream, &mut upstream.stream).await;
    Ok(())
}
