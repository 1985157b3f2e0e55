//! What a request of the application is to the mesh, whatever its version of HTTP: decided, perhaps repeated, counted, refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tulle_core::codes::Reason;
use tulle_core::name::ServiceRef;
use tulle_core::retry::Outcome;
use tulle_core::route::RequestView;
use tulle_core::trace::Outgoing;

use super::Connection;
use super::decide::{self, Course, Decision};
use super::filter::{Given, What};
use crate::access_log::Line;
use crate::admission::{Admission, Changes, Reply};
use crate::answer::Answer;
use crate::error::{self, Failure, Refusal, UNPROCESSED};
use crate::metrics::cells::{HttpCells, RetryCause};
use crate::metrics::{Labels, Side};
use crate::mirror::Copies;
use crate::record::{Arrival, Record};
use crate::upstream::{Upstream, Way};
use crate::worker::{Lane, Worker};

/// The application's side, as both versions of HTTP serve it.
pub(super) struct Outbound<'a>(pub(super) &'a Connection);

impl Admission for Outbound<'_> {
    type Ticket = Ticket;
    type Given = Box<Given>;

    fn judges_paths(&self) -> bool {
        decide::has_routes(self.0)
    }

    fn trace(&self, request: &impl RequestView) -> Option<Outgoing> {
        self.0.worker.trace(request)
    }

    fn record(&self, request: &impl RequestView, arrival: Arrival, trace: Option<&Outgoing>) -> Record {
        Record::new(arrival, self.0.worker.line((Side::Client, arrival.version), request, trace))
    }

    fn unread(&self, arrival: Arrival) -> Record {
        Record::new(arrival, None)
    }

    fn admit(&self, request: &impl RequestView, record: &mut Record) -> Result<Ticket, Reply<Box<Given>>> {
        let decision = match decide::request(self.0, request)? {
            Course::Forward(decision) => decision,
            Course::Answer(given) => return Err(Reply::Rule(given)),
        };
        let lane = &decision.lane;
        record.enter(cells(&self.0.worker, lane, lane.view.upstreams[0].key.way));
        if let Some(line) = record.line() {
            describe(line, lane);
        }
        Ok(Ticket { decision })
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

    fn copies(&self, ticket: &mut Ticket) -> Option<Box<Copies>> {
        ticket.decision.copies(&self.0.worker)
    }

    fn give(&self, mut record: Record, given: Box<Given>) -> Answer {
        let Given { service, route, what, .. } = *given;
        let worker = &self.0.worker;
        if let Some(line) = record.line() {
            (line.service, line.route) = (service.to_string(), Some(Arc::clone(&route)));
        }
        // Found each time: what a rule answers goes nowhere, so no lane keeps its counters.
        record.enter(&worker.metrics.http(Labels { route, ..undecided(worker, Some(service)) }));
        match what {
            What::Answer(answer) => {
                record.answered(answer.status.as_u16(), Instant::now());
                record.ended();
                answer
            }
            What::Abort(abort, failure) => {
                let status = (abort.http_status(), abort.grpc_status());
                let refusal = Refusal::from(failure);
                let id = worker.report_refused(Side::Client, &refusal);
                let grpc = record.arrival.grpc;
                record.refused(&refusal.failure, id, status);
                error::answer_as(&refusal.failure, id, (status.0, grpc.then_some(status.1)))
            }
        }
    }

    fn refuse(&self, mut record: Record, refusal: &Refusal) -> Answer {
        let (worker, failure) = (&self.0.worker, &refusal.failure);
        let id = worker.report_refused(Side::Client, refusal);
        let mut answer = error::answer(failure, id, record.arrival.grpc);
        // Only a proxy may be told this; the application would pass it on.
        answer.headers.remove(UNPROCESSED);
        if !record.is_counted() {
            // Where it goes was not decided, so it is counted for what was dialled.
            record.enter(&worker.metrics.http(undecided(worker, decide::dialled_name(self.0))));
        }
        record.refused(failure, id, (answer.status.as_u16(), failure.reason.grpc_status()));
        answer
    }

    fn broke_off(&self, record: &mut Record, failure: Failure) -> HeaderMap {
        let id = self.0.worker.report_broken(Side::Client, &failure);
        record.broke_off(failure.reason, Some(id));
        error::trailers(&failure, id)
    }
}

/// An admitted request.
pub(super) struct Ticket {
    pub(super) decision: Decision,
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

/// Why another attempt may follow an answer, if one may. `says_unprocessed`: what the answer says of itself.
pub(super) fn may_repeat_answer(
    decision: &Decision,
    upstream: &Upstream,
    status: u16,
    says_unprocessed: bool,
) -> Option<RetryCause> {
    // Nobody but a proxy is believed that nothing was processed.
    if says_unprocessed && upstream.key.way == Way::Mesh {
        return Some(RetryCause::Unprocessed);
    }
    decision.asks_again(Outcome::Status(status)).then_some(RetryCause::Answer)
}

/// Why another attempt may follow one without an answer, if one may.
pub(super) fn may_repeat(decision: &Decision, broken: &Broken, idempotent: bool) -> Option<RetryCause> {
    let outcome = if broken.failure.reason == Reason::Timeout { Outcome::Timeout } else { Outcome::Reset };
    if broken.unprocessed {
        Some(RetryCause::Unprocessed)
    } else if broken.stale && idempotent {
        Some(RetryCause::ConnectionClosed)
    } else {
        decision.asks_again(outcome).then_some(RetryCause::NoAnswer)
    }
}

/// An attempt on this endpoint begins.
pub(super) fn attempting(record: &mut Record, upstream: &Upstream) {
    if let Some(line) = record.line() {
        line.endpoint = Some(upstream.key.address);
        line.mtls = upstream.key.way == Way::Mesh;
        line.attempts += 1;
    }
}

/// Counts an attempt that another one follows.
pub(super) fn retried(worker: &Worker, lane: &Lane, upstream: &Upstream, cause: RetryCause) {
    cells(worker, lane, upstream.key.way).retried(cause);
}

/// Counts an answer whose head was there `at` this moment.
pub(super) fn answered(
    worker: &Worker,
    ticket: &Ticket,
    upstream: &Upstream,
    (status, at): (u16, Instant),
    record: &mut Record,
) {
    record.enter(cells(worker, &ticket.decision.lane, upstream.key.way));
    record.answered(status, at);
}

/// Where requests of this lane are counted.
fn cells<'a>(worker: &Worker, lane: &'a Lane, way: Way) -> &'a Arc<HttpCells> {
    let mtls = way == Way::Mesh;
    lane.cells(mtls, || worker.metrics.http(lane_labels(worker, lane, mtls)))
}

/// Labels of a call of this pod on a lane.
pub(crate) fn lane_labels(worker: &Worker, lane: &Lane, mtls: bool) -> Labels {
    Labels {
        route: lane.route().map_or_else(|| Arc::from(""), Arc::clone),
        backend: lane.view.backend.label(),
        mtls,
        ..undecided(worker, Some(lane.service.clone()))
    }
}

/// Labels of what a rule sends to this backend in vain.
pub(super) fn labels(worker: &Worker, service: &ServiceRef, route: &Arc<str>, backend: Arc<str>) -> Labels {
    Labels { route: Arc::clone(route), backend, ..undecided(worker, Some(service.clone())) }
}

/// Labels of a call of this pod for which neither rule nor backend was found. `None`: what was dialled is not known any more.
fn undecided(worker: &Worker, service: Option<ServiceRef>) -> Labels {
    let pod = &worker.shared.config.pod;
    let nothing: Arc<str> = Arc::from("");
    Labels {
        side: Side::Client,
        src_namespace: Arc::from(pod.namespace.as_str()),
        src_workload: Arc::from(pod.workload_name()),
        dst_namespace: service.as_ref().map_or_else(|| Arc::clone(&nothing), |name| name.namespace.as_str().into()),
        dst_service: service.map_or_else(|| Arc::clone(&nothing), |service| service.name),
        route: Arc::clone(&nothing),
        backend: nothing,
        mtls: false,
    }
}

/// Says where it goes.
pub(super) fn describe(line: &mut Line, lane: &Lane) {
    line.service = lane.service.to_string();
    line.route = lane.route().cloned();
    line.backend = lane.view.backend.to_string();
}
