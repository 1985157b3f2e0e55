//! What a request of the application is to the mesh, whatever its version of HTTP: decided, perhaps repeated, counted, refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use tulle_core::codes::Reason;
use tulle_core::retry::Outcome;
use tulle_core::route::RequestView;

use super::Connection;
use super::decide::{self, Decision};
use crate::access_log::{Entry, Logged};
use crate::admission::Admission;
use crate::error::{self, Failure, FailureId, Refusal, UNPROCESSED};
use crate::exchange::Active;
use crate::metrics::cells::HttpCells;
use crate::metrics::{Labels, RefusalLabels, Side};
use crate::upstream::{Upstream, Way};
use crate::worker::{Lane, Worker};

/// The application's side, as both versions of HTTP serve it.
pub(super) struct Outbound<'a>(pub(super) &'a Connection);

impl Admission for Outbound<'_> {
    type Ticket = Ticket;

    fn judges_paths(&self) -> bool {
        decide::has_routes(self.0)
    }

    fn admit(&self, request: &impl RequestView, started: Instant) -> Result<Ticket, Refusal> {
        let connection = self.0;
        let decision = decide::decide(connection, Some(request))?;
        let active = Active::new(&cells(connection, &decision, decision.lane.view.upstreams[0].key.way));
        let log = &connection.worker.shared.access_log;
        let logged = log.is_on().then(|| Logged::new(request.method(), request.path()));
        Ok(Ticket { decision, started, _active: active, logged })
    }

    fn refuse(&self, refusal: &Refusal, _started: Instant, grpc: bool) -> (StatusCode, HeaderMap) {
        let (worker, failure) = (&self.0.worker, &refusal.failure);
        let id = worker.failure_id();
        log_refused(worker, id, failure);
        let (status, mut fields) = error::answer(failure, id, grpc);
        // Only a proxy may be told this; the application would pass it on.
        fields.remove(UNPROCESSED);
        (status, fields)
    }
}

/// An admitted request.
pub(super) struct Ticket {
    pub(super) decision: Decision,
    started: Instant,
    _active: Active,
    /// Only for the access log.
    logged: Option<Logged>,
}

/// Why an attempt gave no answer, and whether another may follow.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// Whether any request may be sent again: nothing of this one was processed.
    pub(super) unprocessed: bool,
    /// Whether an idempotent one may: its kept connection may merely have been closed (RFC 9110 §9.2.2).
    pub(super) stale: bool,
}

impl Broken {
    /// The attempt's own limit has passed.
    pub(super) fn timed_out(upstream: &Upstream, limit: Duration) -> Self {
        upstream.load.failed(Instant::now());
        let detail = format!("{} did not answer within {limit:?}", upstream.key.address);
        Self { failure: Failure::new(Reason::Timeout, detail), unprocessed: false, stale: false }
    }

    /// There was no connection.
    pub(super) fn unsent(upstream: &Upstream, failure: Failure) -> Self {
        upstream.load.failed(Instant::now());
        Self { failure, unprocessed: true, stale: false }
    }
}

/// The rule's limit for the answer's head has passed.
pub(super) fn timed_out(ticket: &Ticket, limit: Duration) -> Failure {
    Failure::new(Reason::Timeout, format!("{} did not answer within {limit:?}", ticket.decision.lane.service))
}

/// Whether another attempt may follow an answer. `says_unprocessed`: what the answer says of itself.
pub(super) fn may_repeat_answer(decision: &Decision, upstream: &Upstream, status: u16, says_unprocessed: bool) -> bool {
    // Nobody but a proxy is believed that nothing was processed.
    (says_unprocessed && upstream.key.way == Way::Mesh) || decision.asks_again(Outcome::Status(status))
}

/// Whether another attempt may follow one without an answer.
pub(super) fn may_repeat(decision: &Decision, broken: &Broken, idempotent: bool) -> bool {
    let outcome = if broken.failure.reason == Reason::Timeout { Outcome::Timeout } else { Outcome::Reset };
    broken.unprocessed || (broken.stale && idempotent) || decision.asks_again(outcome)
}

/// Counts an answer; the cells its body is counted in.
pub(super) fn answered(connection: &Connection, ticket: &Ticket, upstream: &Upstream, status: u16) -> Arc<HttpCells> {
    let cells = cells(connection, &ticket.decision, upstream.key.way);
    let latency = ticket.started.elapsed();
    cells.answered(status, latency);
    if let Some(logged) = &ticket.logged {
        write_access_log(connection, &ticket.decision, logged, upstream, status, latency);
    }
    cells
}

/// Where requests of this backend are counted.
fn cells(connection: &Connection, decision: &Decision, way: Way) -> Arc<HttpCells> {
    let mtls = way == Way::Mesh;
    let lane = &decision.lane;
    Arc::clone(lane.cells(mtls, || connection.worker.metrics.http(labels(&connection.worker, lane, mtls))))
}

/// Labels of a call of this pod.
pub(super) fn labels(worker: &Worker, lane: &Lane, mtls: bool) -> Labels {
    let pod = &worker.shared.config.pod;
    Labels {
        side: Side::Client,
        src_namespace: Arc::from(pod.namespace.as_str()),
        src_workload: Arc::from(pod.workload_name()),
        dst_namespace: Arc::from(lane.service.namespace.as_str()),
        dst_service: Arc::clone(&lane.service.name),
        route: lane.rule().map_or_else(|| Arc::from(""), |rule| Arc::clone(&rule.name)),
        backend: Arc::clone(&lane.view.backend.service.name),
        mtls,
    }
}

/// Writes a line of the access log, which is on.
fn write_access_log(
    connection: &Connection,
    decision: &Decision,
    request: &Logged,
    upstream: &Upstream,
    status: u16,
    latency: Duration,
) {
    connection.worker.shared.access_log.write(&Entry {
        log: "access",
        side: "client",
        method: &request.method,
        path: &request.path,
        status,
        duration_ms: latency.as_secs_f64() * 1e3,
        peer: "",
        service: &decision.lane.service.to_string(),
        backend: &decision.lane.view.backend.service.to_string(),
        endpoint: &upstream.key.address.to_string(),
        mtls: upstream.key.way == Way::Mesh,
    });
}

/// Logs and counts a refusal of this proxy toward its own application.
pub(super) fn log_refused(worker: &Worker, id: FailureId, failure: &Failure) {
    if worker.may_log() {
        tracing::warn!(
            %id,
            code = failure.code.as_str(),
            reason = failure.reason.as_str(),
            detail = failure.detail,
            "outbound request refused"
        );
    }
    worker.metrics.refused(RefusalLabels {
        side: Side::Client,
        reason: failure.reason.as_str(),
        code: failure.code.as_str(),
        policy: Arc::from(""),
    });
}
