//! A caller's connection: requests one after the other, each judged, sent on and answered, until one side has had enough.

use std::borrow::Cow;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::route::RequestView;

use super::attempt::Exchange;
use super::body::Message;
use super::fields::{Field, Fields};
use super::head::{self, RequestFacts, RequestHead, ResponseFacts, Target};
use super::wire::Wire;
use super::{BadMessage, relay, write};
use crate::admission::{Admission, Reply};
use crate::buffer::Buffer;
use crate::drain::Drain;
use crate::error::{Failure, Refusal};
use crate::exchange::InFlight;
use crate::io::Stream;
use crate::metrics::cells::HttpCells;
use crate::upstream::pool::H1Connection;

/// Most of an unwanted request body that is read to keep the caller's connection, or to let it see the answer.
const DISCARDED_BYTES_MAX: usize = 256 * 1024;
/// How long that may take.
const DISCARD_LIMIT: Duration = Duration::from_secs(1);

/// One side of the proxy: where an admitted request goes.
pub(crate) trait Role: Admission {
    /// Time for a request's head, idle time before it included. `None`: the caller is the application of this very pod.
    const HEAD_TIMEOUT: Option<Duration>;

    /// What stands in for the `Host` a caller of HTTP/1.0 did not send.
    fn dialled(&self) -> std::net::SocketAddr;
    /// Sends the request on and waits for the head of the answer.
    fn forward(
        &self,
        ticket: &Self::Ticket,
        exchange: &mut Exchange<'_>,
    ) -> impl Future<Output = Result<Lease, Forwarding>>;
    /// Counts the answer; the cells its body is counted in.
    fn answered(&self, ticket: &Self::Ticket, lease: &Lease) -> Arc<HttpCells>;
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
}

/// How the exchange left the two connections.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The caller's connection goes on.
    Keep,
    /// It ends in good order.
    Close,
    /// It breaks off, so that the caller sees that the answer is not whole.
    Abort,
    /// Both are byte streams now (RFC 9110 §7.8).
    Upgraded(Wire),
}

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authority: Option<&'a str>,
    fields: &'a Fields<'a>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }
}

/// A request whose head was read.
struct Request<R: Role> {
    admitted: Result<R::Ticket, Reply<R::Given>>,
    facts: RequestFacts,
    /// Its head as the upstream gets it.
    out: Buffer,
    started: Instant,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<R: Role>(role: &R, stream: Stream, drain: &Drain) -> io::Result<()> {
    let mut caller = Wire::new(stream);
    let mut idle = Idle {
        limit: R::HEAD_TIMEOUT,
        deadline: Instant::now() + R::HEAD_TIMEOUT.unwrap_or_default(),
        sleep: pin!(tokio::time::sleep(R::HEAD_TIMEOUT.unwrap_or_default())),
        silence: pin!(drain.silence_over()),
        registered: false,
    };
    loop {
        let answered = match idle.next(role, &mut caller, drain).await? {
            Some(Ok(request)) => one(role, &mut caller, request, drain).await?,
            Some(Err(bad)) => {
                let answer = role.refuse(&bad.into(), Instant::now(), false);
                relay::answer(&mut caller, &answer, false, true).await?;
                Answered::Close
            }
            None => Answered::Close,
        };
        match answered {
            Answered::Keep => caller.rest(),
            Answered::Close => return relay::close(&mut caller).await,
            Answered::Abort => return Ok(()),
            Answered::Upgraded(upstream) => return relay::join(caller, upstream).await,
        }
    }
}

/// Answers one request.
async fn one<R: Role>(role: &R, caller: &mut Wire, request: Request<R>, drain: &Drain) -> io::Result<Answered> {
    let Request { admitted, facts, out, started } = request;
    let request = Message::new(out, facts.framing, facts.framing == head::Framing::Chunked, true);
    let mut exchange = Exchange::new(caller, request, facts, drain.is_draining());
    let reply = match admitted {
        Ok(ticket) => {
            exchange.edits = role.changes(&ticket).and_then(|changes| changes.response).cloned();
            match role.forward(&ticket, &mut exchange).await {
                Ok(lease) => {
                    let cells = role.answered(&ticket, &lease);
                    exchange.request.forget();
                    return relay::pass(exchange, lease, &cells).await;
                }
                Err(Forwarding::Refused(refusal)) => refusal.into(),
                Err(Forwarding::CallerGone(error)) => {
                    tracing::debug!(%error, "the caller went away before its answer");
                    return Ok(Answered::Abort);
                }
            }
        }
        Err(reply) => reply,
    };
    let answer = role.reply(reply, started, facts.grpc);
    let whole = tokio::time::timeout(DISCARD_LIMIT, discard(&mut exchange)).await.is_ok_and(|whole| whole);
    let close = !whole || !facts.keep_alive || facts.old || drain.is_draining();
    relay::answer(exchange.caller, &answer, facts.head_only, close).await?;
    Ok(if close { Answered::Close } else { Answered::Keep })
}

/// Reads the rest of a request nobody wants, if it is short; whether it was read to its end.
async fn discard(exchange: &mut Exchange<'_>) -> bool {
    let mut limit = DISCARDED_BYTES_MAX;
    let Exchange { caller, request, .. } = exchange;
    std::future::poll_fn(|cx| request.poll_discard(cx, caller, &mut limit)).await.is_ok()
}

/// Judges the request at the front of `input` and writes its head for the upstream.
fn admit<R: Role>(role: &R, head: &RequestHead<'_>) -> Result<Request<R>, BadMessage> {
    let started = Instant::now();
    let mut out = Buffer::new();
    let target = Target::parse(head.target)?;
    let normal = if role.judges_paths() { path::normalize(target.path) } else { Ok(Cow::Borrowed(target.path)) };
    let admitted = match normal {
        _ if head.method == "CONNECT" => {
            Err(Refusal::from(BadMessage("CONNECT is not supported; dial the destination itself")).into())
        }
        Err(bad) => Err(Failure::new(Reason::BadRequest, format!("path: {bad}")).into()),
        Ok(path) => {
            let host = || head.fields.first(Field::Host).and_then(|host| std::str::from_utf8(host).ok());
            let authority = target.authority.or_else(host);
            let view = View { method: head.method, path: &path, query: target.query, authority, fields: &head.fields };
            let admitted = role.admit(&view, started);
            let changes = admitted.as_ref().ok().and_then(|ticket| role.changes(ticket)).unwrap_or_default();
            write::request(&mut out, head, &target, &path, &role.dialled(), &changes);
            admitted
        }
    };
    Ok(Request { admitted, facts: head.facts, out, started })
}

/// Waiting for the next request. Timers are looked at only when nothing else woke the connection, so a busy one pays for none.
struct Idle<'a, F> {
    limit: Option<Duration>,
    deadline: Instant,
    sleep: Pin<&'a mut Sleep>,
    silence: Pin<&'a mut F>,
    /// Whether both timers know whom to wake.
    registered: bool,
}

impl<F: Future<Output = ()>> Idle<'_, F> {
    /// The next request; `None` when the connection is over.
    async fn next<R: Role>(
        &mut self,
        role: &R,
        caller: &mut Wire,
        drain: &Drain,
    ) -> io::Result<Option<Result<Request<R>, BadMessage>>> {
        let now = Instant::now();
        // A timer that fired while a request was served woke nobody here: look again.
        let mut look = !self.registered || now >= self.deadline || drain.is_draining();
        self.deadline = now + self.limit.unwrap_or_default();
        std::future::poll_fn(|cx| {
            loop {
                match Self::parse(role, caller) {
                    Ok(None) => {}
                    Ok(Some(request)) => return Poll::Ready(Ok(Some(Ok(request)))),
                    Err(bad) => return Poll::Ready(Ok(Some(Err(bad)))),
                }
                match caller.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            if std::mem::replace(&mut look, true) && self.is_over(cx) {
                return Poll::Ready(Ok(None));
            }
            Poll::Pending
        })
        .await
    }

    fn parse<R: Role>(role: &R, caller: &mut Wire) -> Result<Option<Request<R>>, BadMessage> {
        if caller.input.is_empty() {
            return Ok(None);
        }
        let Some((length, request)) = head::request(caller.input.filled(), |head| admit(role, head))? else {
            return Ok(None);
        };
        caller.input.consume(length);
        request.map(Some)
    }

    /// Whether the time for a head is over, or that of a silent connection of a draining proxy.
    #[cold]
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.registered = true;
        while self.limit.is_some() && self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return true;
            }
            self.sleep.as_mut().reset(self.deadline.into());
        }
        self.silence.as_mut().poll(cx).is_ready()
    }
}

impl From<BadMessage> for Refusal {
    fn from(bad: BadMessage) -> Self {
        Failure::new(Reason::BadRequest, bad.0).into()
    }
}
