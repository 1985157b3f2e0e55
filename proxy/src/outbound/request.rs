//! What a request of the application is to the mesh, whatever its version of HTTP: decided, perhaps repeated, counted, refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tulle_core::codes::Reason;
use tulle_core::name::ServiceRef;
use tulle_core::retry::Outcome;
use tulle_core::route::RequestView;

use super::Connection;
use super::decide::{self, Course, Decision};
use super::filter::{Given, Said, What};
use crate::access_log::{Entry, Logged};
use crate::admission::{Admission, Changes, Reply};
use crate::answer::Answer;
use crate::error::{self, Failure, FailureId, Refusal, UNPROCESSED};
use crate::exchange::Active;
use crate::metrics::cells::HttpCells;
use crate::metrics::{Labels, RefusalLabels, Side};
use crate::upstream::{Key, Upstream, Way};
use crate::worker::{Lane, Worker};

/// The application's side, as both versions of HTTP serve it.
pub(super) struct Outbound<'a>(pub(super) &'a Connection);

impl Admission for Outbound<'_> {
    type Ticket = Ticket;
    type Given = Box<Given>;

    fn judges_paths(&self) -> bool {
        decide::has_routes(self.0)
    }

    fn admit(&self, request: &impl RequestView, started: Instant) -> Result<Ticket, Reply<Box<Given>>> {
        let connection = self.0;
        let decision = match decide::request(connection, request)? {
            Course::Forward(decision) => decision,
            Course::Answer(given) => return Err(Reply::Rule(given)),
        };
        let active = Active::new(&cells(connection, &decision, decision.lane.view.upstreams[0].key.way));
        let log = &connection.worker.shared.access_log;
        let logged = log.is_on().then(|| Logged::new(request.method(), request.path()));
        Ok(Ticket { decision, started, _active: active, logged })
    }

    fn delay(&self, admitted: &Result<Ticket, Reply<Box<Given>>>) -> Option<Duration> {
        match admitted {
            Ok(ticket) => ticket.decision.delay(),
            Err(Reply::Rule(given)) => given.delay,
            Err(Reply::Refusal(_)) => None,
        }
    }

    fn changes<'a>(&self, ticket: &'a Ticket) -> Option<Changes<'a>> {
        ticket.decision.changes()
    }

    fn give(&self, given: Box<Given>, started: Instant, grpc: bool) -> Answer {
        let worker = &self.0.worker;
        let Said { labels, service, logged, answer } = match given.what {
            What::Answer(said) => *said,
            What::Abort(abort, failure) => {
                let id = worker.failure_id();
                log_refused(worker, id, &failure);
                return error::answer_as(&failure, id, (abort.http_status(), grpc.then(|| abort.grpc_status())));
            }
        };
        let (status, latency) = (answer.status.as_u16(), started.elapsed());
        // Found each time: what a rule answers goes nowhere, so no lane keeps its counters.
        worker.metrics.http(labels).answered(status, latency);
        if let Some(logged) = &logged {
            write_access_log(worker, logged, &service, None, (status, latency));
        }
        answer
    }

    fn refuse(&self, refusal: &Refusal, _started: Instant, grpc: bool) -> Answer {
        let (worker, failure) = (&self.0.worker, &refusal.failure);
        let id = worker.failure_id();
        log_refused(worker, id, failure);
        let mut answer = error::answer(failure, id, grpc);
        // Only a proxy may be told this; the application would pass it on.
        answer.headers.remove(UNPROCESSED);
        answer
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
        let lane = &ticket.decision.lane;
        let way = Some((&lane.view.backend.service, upstream.key));
        write_access_log(&connection.worker, logged, &lane.service, way, (status, latency));
    }
    cells
}

/// Where requests of this backend are counted.
fn cells(connection: &Connection, decision: &Decision, way: Way) -> Arc<HttpCells> {
    let mtls = way == Way::Mesh;
    let lane = &decision.lane;
    Arc::clone(lane.cells(mtls, || connection.worker.metrics.http(lane_labels(&connection.worker, lane, mtls))))
}

/// Labels of a call of this pod on a lane.
pub(super) fn lane_labels(worker: &Worker, lane: &Lane, mtls: bool) -> Labels {
    labels(worker, &lane.service, lane.rule().map(|rule| &rule.name), Some(&lane.view.backend.service), mtls)
}

/// Labels of a call of this pod.
pub(super) fn labels(
    worker: &Worker,
    service: &ServiceRef,
    rule: Option<&Arc<str>>,
    backend: Option<&ServiceRef>,
    mtls: bool,
) -> Labels {
    let pod = &worker.shared.config.pod;
    Labels {
        side: Side::Client,
        src_namespace: Arc::from(pod.namespace.as_str()),
        src_workload: Arc::from(pod.workload_name()),
        dst_namespace: Arc::from(service.namespace.as_str()),
        dst_service: Arc::clone(&service.name),
        route: rule.map_or_else(|| Arc::from(""), Arc::clone),
        backend: backend.map_or_else(|| Arc::from(""), |backend| Arc::clone(&backend.name)),
        mtls,
    }
}

/// Writes a line of the access log, which is on. Without `way`, a rule answered.
fn write_access_log(
    worker: &Worker,
    request: &Logged,
    service: &ServiceRef,
    way: Option<(&ServiceRef, Key)>,
    (status, latency): (u16, Duration),
) {
    worker.shared.access_log.write(&Entry {
        log: "access",
        side: "client",
        method: &request.method,
        path: &request.path,
        status,
        duration_ms: latency.as_secs_f64() * 1e3,
        peer: "",
        service: &service.to_string(),
        backend: &way.map(|(backend, _)| backend.to_string()).unwrap_or_default(),
        endpoint: &way.map(|(_, key)| key.address.to_string()).unwrap_or_default(),
        mtls: way.is_some_and(|(_, key)| key.way == Way::Mesh),
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
