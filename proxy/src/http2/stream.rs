//! One stream of a caller: judged, sent on, answered; both directions flow at once until both have ended.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Method, Request, Response, header};
use tulle_core::codes::Reason::{BadRequest, UpstreamReset};
use tulle_core::route::filter::headers::HeaderEdits;
use tulle_core::trace::Outgoing;

use super::attempt::{Exchange, Started, Upload};
use super::flow::{Flow, Stop, grpc_status};
use super::head::Head;
use crate::admission::{Admission, Changes, Reply};
use crate::answer::{Answer, edit};
use crate::error::{Failure, Refusal, UNPROCESSED};
use crate::exchange::InFlight;
use crate::http::Version;
use crate::record::{Arrival, Record};
use crate::upstream::pool::H2Connection;

/// One side of the proxy: where an admitted request goes.
pub(crate) trait Role: Admission {
    /// How long a connection of a caller lives.
    fn connection_age(&self) -> Option<Duration>;
    /// Sends the request on and waits for the head of the answer.
    fn forward(
        &self,
        ticket: &Self::Ticket,
        exchange: &mut Exchange,
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
    /// The upstream reset the stream: the caller's is reset for the same reason, as if nobody stood between.
    Reset(Refusal, Reason),
    /// There is nobody to tell.
    CallerGone,
}

/// An answer that has begun on an upstream's connection.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) started: Started,
    pub(crate) in_flight: InFlight,
    /// Its reference count is the number of streams.
    pub(crate) connection: Rc<H2Connection>,
    /// When the answer's head was there.
    pub(crate) at: Instant,
}

impl Lease {
    /// Status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.started.response.status().as_u16()
    }

    /// Whether the answer says that nothing of the request was processed.
    pub(crate) fn says_unprocessed(&self) -> bool {
        self.started.response.headers().contains_key(UNPROCESSED)
    }
}

/// How a stream ended, as far as its connection wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its caller reset it, or made us reset it, before there was an answer and soon after it began.
    GivenUpAtOnce,
    /// Any other way.
    Other,
}

/// A caller that waited this long did not open its stream in order to reset it.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Ending {
    fn of_given_up(started: Instant) -> Self {
        if started.elapsed() < AT_ONCE { Self::GivenUpAtOnce } else { Self::Other }
    }
}

/// Answers one request. Not an `async fn`, which would hold its arguments a second time: there are thousands of these.
pub(super) fn serve<R: Role>(
    role: &R,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) -> impl Future<Output = Ending> {
    let (parts, body) = request.into_parts();
    let head = Head::new(parts);
    let arrival = Arrival::now(Version::H2, head.is_grpc());
    let mut exchange = Exchange { head, request: Flow::request(body), respond, copies: None, interim: 0 };
    async move {
        let trace = role.trace(&exchange.head);
        let mut record = role.record(&exchange.head, arrival, trace.as_ref());
        let mut admitted = admit(role, &mut exchange.head, trace.as_ref(), &mut record);
        exchange.copies = admitted.as_mut().ok().and_then(|ticket| role.copies(ticket));
        // Boxed, so that streams that are not held up have no room for a timer.
        if let Some(delay) = role.delay(&admitted)
            && Box::pin(exchange.hold(delay)).await.is_err()
        {
            return Ending::of_given_up(record.arrival.at);
        }
        let reply = match admitted {
            Ok(ticket) => match role.forward(&ticket, &mut exchange, &mut record).await {
                Ok(lease) => {
                    role.answered(&ticket, &lease, &mut record);
                    let edits = role.changes(&ticket).and_then(|changes| changes.response);
                    let mut passing = Passing::begin(role, &mut exchange, lease, edits.map(|edits| &**edits), record);
                    std::future::poll_fn(|cx| passing.poll(cx)).await;
                    return Ending::Other;
                }
                Err(Forwarding::Refused(refusal)) => refusal.into(),
                Err(Forwarding::Reset(refusal, reason)) => {
                    role.refuse(record, &refusal);
                    exchange.respond.send_reset(reason);
                    return Ending::Other;
                }
                // Dropping the streams resets what is open of them: the upstream's is cancelled.
                Err(Forwarding::CallerGone) => return Ending::of_given_up(record.arrival.at),
            },
            Err(reply) => reply,
        };
        answer(&mut exchange, role.reply(record, reply));
        Ending::Other
    }
}

/// Sends an answer of the mesh itself. It fails only where the caller went away; what that still sends is not read: h2 resets the stream
/// without error (RFC 9113 §8.1).
fn answer(exchange: &mut Exchange, answer: Answer) {
    let Answer { status, headers, body } = answer;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if !body.is_empty() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let ended = body.is_empty() || exchange.head.method == Method::HEAD;
    // The body is shared by all that are sent it, so h2 may hold it until the caller has room.
    if let (Ok(mut to), false) = (exchange.respond.send_response(response, ended), ended) {
        let _ = to.send_data(body, true);
    }
}

fn admit<R: Role>(
    role: &R,
    head: &mut Head,
    trace: Option<&Outgoing>,
    record: &mut Record,
) -> Result<R::Ticket, Reply<R::Given>> {
    if head.method == Method::CONNECT {
        let detail = "CONNECT is not supported; dial the destination itself";
        return Err(Failure::new(BadRequest, detail).into());
    }
    head.settle()?;
    if role.judges_paths() {
        head.normalize()?;
    }
    let ticket = role.admit(head, record)?;
    let changes = role.changes(&ticket);
    if changes.is_some() || trace.is_some() {
        head.change(&Changes { trace, ..changes.unwrap_or_default() })?;
    }
    Ok(ticket)
}

/// Both directions of a stream whose answer has begun. Unless it ends as it should, the drop of its record counts it as broken off.
struct Passing<'a, R> {
    role: &'a R,
    exchange: &'a mut Exchange,
    upload: Upload,
    /// Until it has ended.
    answer: Option<(Flow, SendStream<Bytes>)>,
    /// Whether the answer, or its way to the caller, ended before its end.
    broken: bool,
    record: Record,
    in_flight: InFlight,
    _connection: Rc<H2Connection>,
}

impl<'a, R: Admission> Passing<'a, R> {
    /// Passes the answer's head on.
    fn begin(
        role: &'a R,
        exchange: &'a mut Exchange,
        lease: Lease,
        edits: Option<&HeaderEdits>,
        mut record: Record,
    ) -> Self {
        let Lease { started: Started { response, upload }, in_flight, connection, .. } = lease;
        exchange.settle();
        let (mut parts, body) = response.into_parts();
        parts.headers.remove(UNPROCESSED);
        if let Some(edits) = edits {
            edit(&mut parts.headers, edits);
        }
        let ended = body.is_end_stream();
        if let (true, Some(status)) = (ended, grpc_status(&parts.headers)) {
            record.grpc_ended(status); // "Trailers-Only" (gRPC over HTTP/2)
        }
        let sent = exchange.respond.send_response(Response::from_parts(parts, ()), ended);
        let broken = sent.is_err();
        if ended && !broken {
            record.ended();
        }
        let answer = sent.ok().filter(|_| !ended).map(|to| (Flow::answer(body), to));
        Self { role, exchange, upload, answer, broken, record, in_flight, _connection: connection }
    }

    /// Passes the answer on, and the rest of the request. Ready when both have ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.upload.over {
            match self.exchange.request.poll(cx, &mut self.upload.to) {
                Poll::Ready(Ok(()) | Err(Stop::Sink)) => self.upload.over = true,
                Poll::Ready(Err(Stop::Source(_))) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.exchange.copies.is_some() {
                self.exchange.settle();
            }
        }
        if let Some((answer, to)) = &mut self.answer {
            let polled = answer.poll(cx, to);
            self.record.flowed(self.exchange.request.passed, answer.passed);
            self.broken = match polled {
                Poll::Ready(Ok(())) => {
                    if let Some(status) = answer.grpc_status {
                        self.record.grpc_ended(status);
                    }
                    self.record.ended();
                    false
                }
                Poll::Ready(Err(Stop::Sink)) => true,
                Poll::Ready(Err(Stop::Source(error))) => {
                    let detail = format!("{}: {error}", self.in_flight.0.key.address);
                    let trailers = self.role.broke_off(&mut self.record, Failure::new(UpstreamReset, detail));
                    let told = error.is_reset() && error.is_remote(); // the destination's own words are passed on
                    if told || !self.record.arrival.grpc || to.send_trailers(trailers).is_err() {
                        to.send_reset(error.reason().unwrap_or(Reason::INTERNAL_ERROR));
                    }
                    true
                }
                // The caller may go away while it has nothing to send and nothing to take.
                Poll::Pending if to.poll_reset(cx).is_ready() => true,
                Poll::Pending => return Poll::Pending,
            };
            self.answer = None;
        }
        // An answer may end before its request: the upstream still wants the rest, or says that it does not.
        let over = self.upload.over || self.broken || self.upload.to.poll_reset(cx).is_ready();
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}
