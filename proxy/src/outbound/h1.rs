//! The application's side of HTTP/1: decide for each request, send it, try elsewhere where that is safe.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use tulle_core::codes::Reason;
use tulle_core::retry::Outcome;
use tulle_core::route::RequestView;

use super::Connection;
use super::decide::{self, Decision, Tried};
use super::request;
use crate::access_log::Logged;
use crate::error::{self, Failure, Refusal, UNPROCESSED};
use crate::exchange::{Active, InFlight};
use crate::h1::{AttemptError, Exchange, Forwarding, Lease, Role, View};
use crate::metrics::cells::HttpCells;
use crate::upstream::pool::H1Connection;
use crate::upstream::{Upstream, Way};

/// See the module.
pub(super) struct Outbound<'a>(pub(super) &'a Connection);

/// An admitted request.
pub(super) struct Ticket {
    decision: Decision,
    started: Instant,
    _active: Active,
    /// Only for the access log.
    logged: Option<Logged>,
}

/// Why an attempt gave no answer, and whether another may follow.
struct Broken {
    failure: Failure,
    /// Whether any request may be sent again: nothing of this one was processed.
    unprocessed: bool,
    /// Whether an idempotent one may: its kept connection may merely have been closed (RFC 9110 §9.2.2).
    stale: bool,
}

impl Role for Outbound<'_> {
    type Ticket = Ticket;
    const HEAD_TIMEOUT: Option<Duration> = None;

    fn judges_paths(&self) -> bool {
        decide::has_routes(self.0)
    }

    fn dialled(&self) -> SocketAddr {
        self.0.dialled
    }

    fn admit(&self, view: &View<'_>, started: Instant) -> Result<Ticket, Refusal> {
        let decision = decide::decide(self.0, Some(view))?;
        let active = Active::new(&request::cells(self.0, &decision, decision.view.upstreams[0].key.way));
        let logged = self.0.worker.shared.access_log.is_on().then(|| Logged::new(view.method(), view.path()));
        Ok(Ticket { decision, started, _active: active, logged })
    }

    async fn forward(&self, ticket: &Ticket, exchange: &mut Exchange<'_>) -> Result<Lease, Forwarding> {
        let Some(limit) = ticket.decision.timeout else { return self.attempts(ticket, exchange).await };
        match tokio::time::timeout(limit, self.attempts(ticket, exchange)).await {
            Ok(forwarded) => forwarded,
            Err(_) => {
                let detail = format!("{} did not answer within {limit:?}", ticket.decision.service);
                Err(Failure::new(Reason::Timeout, detail).into())
            }
        }
    }

    fn answered(&self, ticket: &Ticket, lease: &Lease) -> Arc<HttpCells> {
        let upstream = &lease.in_flight.0;
        let cells = request::cells(self.0, &ticket.decision, upstream.key.way);
        let latency = ticket.started.elapsed();
        cells.answered(lease.facts.status, latency);
        if let Some(logged) = &ticket.logged {
            request::write_access_log(self.0, &ticket.decision, logged, upstream, lease.facts.status, latency);
        }
        cells
    }

    fn refuse(&self, refusal: &Refusal, _started: Instant, grpc: bool) -> (StatusCode, HeaderMap) {
        let id = self.0.worker.failure_id();
        request::log_refused(&self.0.worker, id, &refusal.failure);
        let (status, mut fields) = error::answer(&refusal.failure, id, grpc);
        // Only a proxy may be told this; the application would pass it on.
        fields.remove(UNPROCESSED);
        (status, fields)
    }
}

impl Outbound<'_> {
    async fn attempts(&self, ticket: &Ticket, exchange: &mut Exchange<'_>) -> Result<Lease, Forwarding> {
        let decision = &ticket.decision;
        let mut tried = Tried::new();
        loop {
            let upstream = decide::endpoint(&self.0.worker, &decision.view, &tried);
            let outcome = self.attempt(decision, upstream, exchange).await?;
            let again = tried.len() < decision.attempts()
                && match &outcome {
                    Ok(lease) => may_repeat_answer(decision, lease),
                    Err(broken) => may_repeat(decision, broken, exchange.facts.idempotent),
                };
            // What was sent can be sent again only while all of it is kept.
            if !again || !exchange.request.rewind() {
                return outcome.map_err(|broken| broken.failure.into());
            }
            match outcome {
                Ok(lease) => tracing::debug!(status = lease.facts.status, "trying another endpoint"),
                Err(broken) => tracing::debug!(failure = %broken.failure, "trying another endpoint"),
            }
            tried.push(upstream.key.address);
        }
    }

    /// One attempt, within the rule's `perTryTimeout`.
    async fn attempt(
        &self,
        decision: &Decision,
        upstream: &Rc<Upstream>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Result<Lease, Broken>, Forwarding> {
        let send = self.send(decision, upstream, exchange);
        let Some(limit) = decision.retry.as_ref().and_then(|retry| retry.per_try_timeout) else {
            return send.await;
        };
        match tokio::time::timeout(limit, send).await {
            Ok(sent) => sent,
            Err(_) => {
                let detail = format!("{} did not answer within {limit:?}", upstream.key.address);
                let failure = Failure::new(Reason::Timeout, detail);
                upstream.load.failed(Instant::now());
                Ok(Err(Broken { failure, unprocessed: false, stale: false }))
            }
        }
    }

    async fn send(
        &self,
        decision: &Decision,
        upstream: &Rc<Upstream>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Result<Lease, Broken>, Forwarding> {
        let in_flight = InFlight::begin(upstream);
        let started = Instant::now();
        let identities = &decision.view.backend.identities;
        let mut connection = match upstream.h1(&self.0.worker.shared.tls, identities).await {
            Ok(connection) => connection,
            Err(failure) => {
                upstream.load.failed(Instant::now());
                return Ok(Err(Broken { failure, unprocessed: true, stale: false }));
            }
        };
        let outcome = exchange.attempt(&mut connection.wire).await;
        let now = Instant::now();
        match outcome {
            Ok(facts) => {
                upstream.load.observe(now.saturating_duration_since(started), now);
                Ok(Ok(Lease { connection, in_flight, facts }))
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
}

fn may_repeat_answer(decision: &Decision, lease: &Lease) -> bool {
    // Nobody but a proxy is believed that nothing was processed.
    let unprocessed = lease.facts.unprocessed && lease.in_flight.0.key.way == Way::Mesh;
    unprocessed || decision.asks_again(Outcome::Status(lease.facts.status))
}

fn may_repeat(decision: &Decision, broken: &Broken, idempotent: bool) -> bool {
    let outcome = if broken.failure.reason == Reason::Timeout { Outcome::Timeout } else { Outcome::Reset };
    broken.unprocessed || (broken.stale && idempotent) || decision.asks_again(outcome)
}

/// What a failed attempt means.
fn broken(upstream: &Upstream, connection: &H1Connection, error: AttemptError) -> Result<Broken, Forwarding> {
    let address = upstream.key.address;
    match error {
        AttemptError::CallerGone(error) => Err(Forwarding::CallerGone(error)),
        AttemptError::BadRequest(bad) => Err(Forwarding::Refused(bad.into())),
        AttemptError::BadAnswer(bad) => {
            let failure = Failure::new(Reason::UpstreamReset, format!("{address}: {bad}"));
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
