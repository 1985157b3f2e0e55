//! A caller's connection: requests one after the other, each judged, sent on and answered, until one side has had enough.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::attempt::Exchange;
use super::body::Message;
use super::head::{self, ResponseFacts};
use super::idle::Idle;
use super::relay;
use super::request::Request;
use super::wire::Wire;
use crate::admission::Admission;
use crate::answer::Answer;
use crate::buffer::Buffer;
use crate::drain::Drain;
use crate::error::Refusal;
use crate::exchange::InFlight;
use crate::http::Version;
use crate::io::Stream;
use crate::record::{Arrival, Record};
use crate::upstream::pool::H1Connection;

/// One side of the proxy: where an admitted request goes.
pub(crate) trait Role: Admission {
    /// How long a caller may be silent between requests. `None`: it is the application of this very pod, and may take any time.
    const IDLE_LIMIT: Option<Duration>;

    /// Whether a caller that may not call is told so once, and its connection ends.
    fn is_done_with_refused(&self) -> bool {
        false
    }
    /// What stands in for the `Host` a caller of HTTP/1.0 did not send.
    fn dialled(&self) -> std::net::SocketAddr;
    /// Sends the request on and waits for the head of the answer.
    fn forward(
        &self,
        ticket: &Self::Ticket,
        exchange: &mut Exchange<'_>,
        record: &mut Record,
    ) -> impl Future<Output = Result<Lease, Forwarding>>;
    /// Counts the answer.
    fn answered(&self, ticket: &Self::Ticket, lease: &Lease, record: &mut Record);
}

/// Why there is no answer to pass on.
#[derive(Debug)]
pub(crate) enum Forwarding {
    /// The caller is told.
    Refused(Refusal),
    /// There is nobody to tell.
    CallerGone(io::Error),
}

/// An upstream connection on which an answer has begun.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: H1Connection,
    pub(crate) in_flight: InFlight,
    pub(crate) facts: ResponseFacts,
    /// When the answer's head was there.
    pub(crate) at: Instant,
}

/// How the exchange left the two connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answered {
    /// The caller's connection goes on.
    Keep,
    /// It ends in good order.
    Close,
    /// It is over: it broke off, so that the caller sees that the answer is not whole, or carried another protocol to its end.
    Over,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<R: Role>(role: &R, stream: Stream, drain: &Drain) -> io::Result<()> {
    let mut caller = Wire::new(stream);
    let sleep = pin!(tokio::time::sleep(R::IDLE_LIMIT.unwrap_or_default()));
    let silence = pin!(drain.silence_over());
    let mut idle = Idle::new(R::IDLE_LIMIT, sleep, silence);
    loop {
        let answered = match idle.next(role, &mut caller, drain).await? {
            Some(Ok(request)) => one(role, &mut caller, request, drain).await?,
            Some(Err(bad)) => {
                let answer = role.refuse(role.unread(Arrival::now(Version::H1, false)), &bad.into());
                relay::answer(&mut caller, Buffer::new(), &answer, (false, true)).await?;
                Answered::Close
            }
            None => Answered::Close,
        };
        match answered {
            Answered::Keep => caller.rest(),
            Answered::Close => return relay::close(&mut caller).await,
            Answered::Over => return Ok(()),
        }
    }
}

/// Answers one request.
async fn one<R: Role>(role: &R, caller: &mut Wire, request: Request<R>, drain: &Drain) -> io::Result<Answered> {
    let Request { mut record, admitted, facts, out } = request;
    let request = Message::new(out, facts.framing, facts.framing == head::Framing::Chunked, true);
    let mut exchange = Exchange::new(caller, request, facts, drain.is_draining());
    // Boxed: hardly any request is held up, and every connection would have room for a timer.
    if let Some(delay) = role.delay(&admitted)
        && Box::pin(exchange.meanwhile(tokio::time::sleep(delay))).await.is_err()
    {
        return Ok(Answered::Over);
    }
    let reply = match admitted {
        Ok(mut ticket) => {
            exchange.copies = role.copies(&mut ticket);
            exchange.edits = role.changes(&ticket).and_then(|changes| changes.response).cloned();
            match role.forward(&ticket, &mut exchange, &mut record).await {
                Ok(lease) => {
                    role.answered(&ticket, &lease, &mut record);
                    exchange.settle();
                    return relay::pass(role, exchange, lease, &mut record).await;
                }
                Err(Forwarding::Refused(refusal)) => refusal.into(),
                Err(Forwarding::CallerGone(error)) => {
                    tracing::debug!(%error, "the caller went away before its answer");
                    return Ok(Answered::Over);
                }
            }
        }
        Err(reply) => {
            exchange.last |= role.is_done_with_refused();
            reply
        }
    };
    let answer = role.reply(record, reply);
    reply_at_once(exchange, &answer).await
}

/// Answers a request in place of its destination. Its body is not waited for.
async fn reply_at_once(mut exchange: Exchange<'_>, answer: &Answer) -> io::Result<Answered> {
    let facts = exchange.facts;
    let close = facts.old || exchange.last || !facts.keep_alive || !exchange.may_be_skipped();
    let before = exchange.take_unwritten();
    relay::answer(exchange.caller, before, answer, (facts.head_only, close)).await?;
    Ok(if close { Answered::Close } else { relay::skip(&mut exchange).await })
}
