//! The application's side of HTTP/2: decide for each request, send it, try elsewhere where that is safe.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tulle_core::codes::Reason;

use super::decide::Decision;
use super::request::{self, Broken, Outbound, Ticket};
use crate::error::Failure;
use crate::exchange::InFlight;
use crate::http2::{AttemptError, Exchange, Forwarding, Lease, Role};
use crate::record::Record;
use crate::upstream::Upstream;
use crate::upstream::dial::Terms;
use crate::worker::Tried;

/// Why an attempt gave no answer.
enum Failed {
    /// The caller went away.
    CallerGone,
    /// The upstream's fault, with the reason it reset the stream for, if it did.
    Upstream(Broken, Option<h2::Reason>),
}

impl Role for Outbound<'_> {
    /// Each request of the application is balanced anyway, and nobody's certificate ages on this connection.
    fn connection_age(&self) -> Option<Duration> {
        None
    }

    async fn forward(
        &self,
        ticket: &Ticket,
        exchange: &mut Exchange,
        record: &mut Record,
    ) -> Result<Lease, Forwarding> {
        // Of the rule's limit and the caller's own, the shorter one.
        let limits = ticket.decision.timeout().into_iter().chain(exchange.head.grpc_timeout());
        let Some(limit) = limits.min() else {
            return attempts(self, &ticket.decision, exchange, record).await;
        };
        // Boxed, so that streams without a limit have no room for it; as below.
        Box::pin(tokio::time::timeout(limit, attempts(self, &ticket.decision, exchange, record)))
            .await
            .unwrap_or_else(|_| Err(Forwarding::Refused(request::timed_out(ticket, limit).into())))
    }

    fn answered(&self, ticket: &Ticket, lease: &Lease, record: &mut Record) {
        request::answered(&self.0.worker, ticket, &lease.in_flight.0, (lease.status(), lease.at), record);
    }
}

async fn attempts(
    side: &Outbound<'_>,
    decision: &Decision,
    exchange: &mut Exchange,
    record: &mut Record,
) -> Result<Lease, Forwarding> {
    let mut tried = Tried::new();
    loop {
        let now = Instant::now();
        let upstream = decision.lane.view.endpoint(side.0.worker.draw(), &tried, now);
        request::attempting(record, upstream);
        let outcome = attempt(side, decision, (upstream, now), exchange).await;
        let cause = match &outcome {
            _ if tried.len() >= decision.attempts() => None,
            Ok(lease) => request::may_repeat_answer(decision, upstream, lease.status(), lease.says_unprocessed()),
            Err(Failed::Upstream(broken, _)) => {
                request::may_repeat(decision, broken, exchange.head.method.is_idempotent())
            }
            Err(Failed::CallerGone) => None,
        };
        // What was sent can be sent again only while all of it is kept.
        let Some(cause) = cause.filter(|_| exchange.rewind()) else {
            return outcome.map_err(Forwarding::from);
        };
        request::retried(&side.0.worker, &decision.lane, upstream, cause);
        match outcome {
            Ok(lease) => tracing::debug!(status = lease.status(), "trying another endpoint"),
            Err(Failed::Upstream(broken, _)) => {
                tracing::debug!(failure = %broken.failure, "trying another endpoint");
            }
            Err(Failed::CallerGone) => {}
        }
        tried.push(upstream.key.address);
    }
}

/// One attempt that starts now, within the rule's `perTryTimeout`.
async fn attempt(
    side: &Outbound<'_>,
    decision: &Decision,
    (upstream, now): (&Rc<Upstream>, Instant),
    exchange: &mut Exchange,
) -> Result<Lease, Failed> {
    let Some(limit) = decision.try_limit() else { return send(side, decision, (upstream, now), exchange).await };
    Box::pin(tokio::time::timeout(limit, send(side, decision, (upstream, now), exchange)))
        .await
        .unwrap_or_else(|_| Err(Failed::Upstream(Broken::timed_out(upstream, limit), None)))
}

async fn send(
    side: &Outbound<'_>,
    decision: &Decision,
    (upstream, started): (&Rc<Upstream>, Instant),
    exchange: &mut Exchange,
) -> Result<Lease, Failed> {
    let in_flight = InFlight::begin(upstream);
    let terms = Terms::from(&*decision.lane.view.backend);
    let connection = upstream
        .h2(&side.0.worker.shared.tls, terms)
        .await
        .map_err(|failure| Failed::Upstream(Broken::unsent(upstream, failure), None))?;
    let outcome = exchange.attempt(&connection.sender).await;
    let now = Instant::now();
    match outcome {
        Ok(answer) => {
            upstream.load.observe(now.saturating_duration_since(started), now);
            Ok(Lease { started: answer, in_flight, connection, at: now })
        }
        Err(AttemptError::CallerGone) => Err(Failed::CallerGone),
        Err(error) => {
            upstream.load.failed(now);
            Err(broken(upstream, error))
        }
    }
}

/// What a failed attempt means.
fn broken(upstream: &Upstream, error: AttemptError) -> Failed {
    let (reset, stale) = (error.reset(), error.lost_connection());
    let AttemptError::Upstream { error, unprocessed } = error else { return Failed::CallerGone };
    let reason = if unprocessed { Reason::ConnectFailed } else { Reason::UpstreamReset };
    let failure = Failure::new(reason, format!("{}: {error}", upstream.key.address));
    Failed::Upstream(Broken { failure, unprocessed, stale }, reset.filter(|_| !unprocessed))
}

impl From<Failed> for Forwarding {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::CallerGone => Self::CallerGone,
            Failed::Upstream(broken, None) => Self::Refused(broken.failure.into()),
            Failed::Upstream(broken, Some(reason)) => Self::Reset(broken.failure.into(), reason),
        }
    }
}
