//! The application's side of HTTP/1: decide for each request, send it, try elsewhere where that is safe.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tulle_core::codes::Reason;

use super::decide::Decision;
use super::request::{self, Broken, Outbound, Ticket};
use crate::error::Failure;
use crate::exchange::InFlight;
use crate::h1::{AttemptError, Exchange, Forwarding, Lease, Role};
use crate::record::Record;
use crate::upstream::Upstream;
use crate::upstream::dial::Terms;
use crate::upstream::pool::H1Connection;
use crate::worker::Tried;

impl Role for Outbound<'_> {
    const IDLE_LIMIT: Option<Duration> = None;

    fn dialled(&self) -> SocketAddr {
        self.0.dialled
    }

    async fn forward(
        &self,
        ticket: &Ticket,
        exchange: &mut Exchange<'_>,
        record: &mut Record,
    ) -> Result<Lease, Forwarding> {
        let Some(limit) = ticket.decision.timeout() else {
            return attempts(self, &ticket.decision, exchange, record).await;
        };
        tokio::time::timeout(limit, attempts(self, &ticket.decision, exchange, record))
            .await
            .unwrap_or_else(|_| Err(request::timed_out(ticket, limit).into()))
    }

    fn answered(&self, ticket: &Ticket, lease: &Lease, record: &mut Record) {
        request::answered(&self.0.worker, ticket, &lease.in_flight.0, (lease.facts.status, lease.at), record);
    }
}

async fn attempts(
    side: &Outbound<'_>,
    decision: &Decision,
    exchange: &mut Exchange<'_>,
    record: &mut Record,
) -> Result<Lease, Forwarding> {
    let mut tried = Tried::new();
    loop {
        let now = Instant::now();
        let upstream = decision.lane.view.endpoint(side.0.worker.draw(), &tried, now);
        request::attempting(record, upstream);
        let outcome = attempt(side, decision, (upstream, now), exchange).await?;
        let cause = match &outcome {
            _ if tried.len() >= decision.attempts() => None,
            Ok(lease) => request::may_repeat_answer(decision, upstream, lease.facts.status, lease.facts.unprocessed),
            Err(broken) => request::may_repeat(decision, broken, exchange.facts.idempotent),
        };
        // What was sent can be sent again only while all of it is kept.
        let Some(cause) = cause.filter(|_| exchange.request.rewind()) else {
            return outcome.map_err(|broken| broken.failure.into());
        };
        request::retried(&side.0.worker, &decision.lane, upstream, cause);
        match outcome {
            Ok(lease) => tracing::debug!(status = lease.facts.status, "trying another endpoint"),
            Err(broken) => tracing::debug!(failure = %broken.failure, "trying another endpoint"),
        }
        tried.push(upstream.key.address);
    }
}

/// One attempt that starts now, within the rule's `perTryTimeout`.
async fn attempt(
    side: &Outbound<'_>,
    decision: &Decision,
    (upstream, now): (&Rc<Upstream>, Instant),
    exchange: &mut Exchange<'_>,
) -> Result<Result<Lease, Broken>, Forwarding> {
    let send = send(side, decision, (upstream, now), exchange);
    let Some(limit) = decision.try_limit() else { return send.await };
    tokio::time::timeout(limit, send).await.unwrap_or_else(|_| Ok(Err(Broken::timed_out(upstream, limit))))
}

async fn send(
    side: &Outbound<'_>,
    decision: &Decision,
    (upstream, started): (&Rc<Upstream>, Instant),
    exchange: &mut Exchange<'_>,
) -> Result<Result<Lease, Broken>, Forwarding> {
    let in_flight = InFlight::begin(upstream);
    let terms = Terms::from(&*decision.lane.view.backend);
    let mut connection = match upstream.kept_h1(terms.expected, started) {
        Some(connection) => connection,
        None => {
            let connecting = upstream.h1(&side.0.worker.shared.tls, terms);
            match exchange.meanwhile(connecting).await.map_err(Forwarding::CallerGone)? {
                Ok(connection) => connection,
                Err(failure) => return Ok(Err(Broken::unsent(upstream, failure))),
            }
        }
    };
    let outcome = exchange.attempt(&mut connection.wire).await;
    let now = Instant::now();
    match outcome {
        Ok(facts) => {
            upstream.load.observe(now.saturating_duration_since(started), now);
            Ok(Ok(Lease { connection, in_flight, facts, at: now }))
        }
        Err(error) => {
            let broken = broken(upstream, &connection, error)?;
            if !broken.stale {
                upstream.load.failed(now);
            }
            Ok(Err(broken))
        }
    }
}

/// What a failed attempt means.
fn broken(upstream: &Upstream, connection: &H1Connection, error: AttemptError) -> Result<Broken, Forwarding> {
    let address = upstream.key.address;
    match error {
        AttemptError::CallerGone(error) => Err(Forwarding::CallerGone(error)),
        AttemptError::BadRequest(bad) => Err(Forwarding::Refused(bad.into())),
        AttemptError::BadAnswer(bad) => {
            let failure = Failure::new(Reason::BadResponse, format!("{address}: {bad}"));
            Ok(Broken { failure, unprocessed: false, stale: false })
        }
        AttemptError::Upstream { error, touched } => {
            let reason = if touched { Reason::UpstreamReset } else { Reason::ConnectFailed };
            let failure = Failure::new(reason, format!("{address}: {error}"));
            Ok(Broken { failure, unprocessed: !touched, stale: touched && connection.reused })
        }
    }
}

impl From<Failure> for Forwarding {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure.into())
    }
}
