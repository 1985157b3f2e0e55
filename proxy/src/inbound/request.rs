//! What a request to the application is to the mesh, whatever its version of HTTP: authorized, counted, refused.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tulle_core::authz::HttpCall;
use tulle_core::route::RequestView;

use super::{Connection, authorize};
use crate::access_log::{Entry, Logged};
use crate::admission::{Admission, Changes, Reply};
use crate::answer::Answer;
use crate::error::{self, FailureId, Refusal, UNPROCESSED};
use crate::exchange::Active;
use crate::metrics::cells::HttpCells;
use crate::metrics::{RefusalLabels, Side};
use crate::upstream::{Upstream, Way};
use crate::worker::Worker;

/// The network's side, as both versions of HTTP serve it.
pub(super) struct Inbound<'a> {
    pub(super) connection: &'a Connection,
    pub(super) application: Rc<Upstream>,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, application: connection.worker.upstream(connection.dialled, Way::Local) }
    }
}

impl Admission for Inbound<'_> {
    type Ticket = Ticket;
    /// Rules are the caller's business.
    type Given = Infallible;

    fn judges_paths(&self) -> bool {
        authorize::judges_paths(&self.connection.worker)
    }

    fn admit(&self, request: &impl RequestView, started: Instant) -> Result<Ticket, Reply<Infallible>> {
        let connection = self.connection;
        let active = Active::new(&connection.cells);
        authorize::request(connection, HttpCall { method: request.method(), path: request.path() })?;
        if request.method() == "CONNECT" {
            // Nobody sees what the tunnel will carry: it must be allowed as bytes, too.
            authorize::connection(connection)?;
        }
        let log = &connection.worker.shared.access_log;
        let logged = log.is_on().then(|| Logged::new(request.method(), request.path()));
        Ok(Ticket { started, _active: active, logged })
    }

    fn delay(&self, _admitted: &Result<Ticket, Reply<Infallible>>) -> Option<Duration> {
        None
    }

    fn changes<'a>(&self, _ticket: &'a Ticket) -> Option<Changes<'a>> {
        None
    }

    fn give(&self, given: Infallible, _started: Instant, _grpc: bool) -> Answer {
        match given {}
    }

    fn refuse(&self, refusal: &Refusal, started: Instant, grpc: bool) -> Answer {
        let connection = self.connection;
        let id = connection.worker.failure_id();
        log_refused(&connection.worker, id, refusal);
        let mut answer = error::answer(&refusal.failure, id, grpc);
        if connection.peer.is_none() {
            // Between proxies only.
            answer.headers.remove(UNPROCESSED);
        }
        connection.cells.answered(answer.status.as_u16(), started.elapsed());
        answer
    }
}

/// An admitted request.
pub(super) struct Ticket {
    started: Instant,
    _active: Active,
    logged: Option<Logged>,
}

/// Counts an answer; the cells its body is counted in.
pub(super) fn answered(connection: &Connection, ticket: &Ticket, status: u16) -> Arc<HttpCells> {
    let latency = ticket.started.elapsed();
    connection.cells.answered(status, latency);
    if let Some(logged) = &ticket.logged {
        write_access_log(connection, logged, status, latency);
    }
    Arc::clone(&connection.cells)
}

/// Logs and counts a refusal. Policy, rule and peer are named here and nowhere else.
pub(super) fn log_refused(worker: &Worker, id: FailureId, refusal: &Refusal) {
    let Refusal { failure, policy, rule } = refusal;
    if worker.may_log() {
        tracing::warn!(
            %id,
            code = failure.code.as_str(),
            reason = failure.reason.as_str(),
            policy = &**policy,
            rule = *rule,
            detail = failure.detail,
            "inbound request refused"
        );
    }
    let (reason, code) = (failure.reason.as_str(), failure.code.as_str());
    worker.metrics.refused(RefusalLabels { side: Side::Server, reason, code, policy: Arc::clone(policy) });
}

/// Writes a line of the access log, which is on.
fn write_access_log(connection: &Connection, request: &Logged, status: u16, latency: Duration) {
    let peer = connection.peer.as_ref().map(ToString::to_string).unwrap_or_default();
    let address = connection.dialled.to_string();
    connection.worker.shared.access_log.write(&Entry {
        log: "access",
        side: "server",
        method: &request.method,
        path: &request.path,
        status,
        duration_ms: latency.as_secs_f64() * 1e3,
        peer: &peer,
        service: "",
        backend: "",
        endpoint: &address,
        mtls: connection.peer.is_some(),
    });
}
