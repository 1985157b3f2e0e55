//! What a request to the application is to the mesh, whatever its version of HTTP: authorized, counted, refused.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use tulle_core::authz::HttpCall;
use tulle_core::route::RequestView;
use tulle_core::trace::Outgoing;

use super::{Connection, authorize};
use crate::access_log::Line;
use crate::admission::{Admission, Changes, Reply};
use crate::answer::Answer;
use crate::error::{self, Failure, Refusal, UNPROCESSED};
use crate::metrics::Side;
use crate::record::{Arrival, Record};
use crate::upstream::{Upstream, Way};

/// The network's side, as both versions of HTTP serve it.
pub(super) struct Inbound<'a> {
    pub(super) connection: &'a Connection,
    pub(super) application: Rc<Upstream>,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, application: connection.worker.upstream(connection.dialled, Way::Local) }
    }

    fn begin(&self, arrival: Arrival, line: Option<Box<Line>>) -> Record {
        let mut record = Record::new(arrival, line);
        record.enter(&self.connection.cells);
        record
    }
}

impl Admission for Inbound<'_> {
    type Ticket = ();
    /// Rules are the caller's business.
    type Given = Infallible;

    fn judges_paths(&self) -> bool {
        authorize::judges_paths(&self.connection.worker)
    }

    fn trace(&self, request: &impl RequestView) -> Option<Outgoing> {
        self.connection.worker.trace(request)
    }

    fn record(&self, request: &impl RequestView, arrival: Arrival, trace: Option<&Outgoing>) -> Record {
        let mut line = self.connection.worker.line((Side::Server, arrival.version), request, trace);
        if let Some(line) = &mut line {
            self.connection.describe(line);
        }
        self.begin(arrival, line)
    }

    fn unread(&self, arrival: Arrival) -> Record {
        self.begin(arrival, None)
    }

    fn admit(&self, request: &impl RequestView, _record: &mut Record) -> Result<(), Reply<Infallible>> {
        let connection = self.connection;
        authorize::request(connection, HttpCall { method: request.method(), path: request.path() })?;
        if request.method() == "CONNECT" {
            // Nobody sees what the tunnel will carry: it must be allowed as bytes, too.
            authorize::connection(connection)?;
        }
        Ok(())
    }

    fn delay(&self, _admitted: &Result<(), Reply<Infallible>>) -> Option<Duration> {
        None
    }

    fn changes<'a>(&self, (): &'a ()) -> Option<Changes<'a>> {
        None
    }

    fn give(&self, _record: Record, given: Infallible) -> Answer {
        match given {}
    }

    fn refuse(&self, record: Record, refusal: &Refusal) -> Answer {
        let connection = self.connection;
        let id = connection.worker.report_refused(Side::Server, refusal);
        let mut answer = error::answer(&refusal.failure, id, record.arrival.grpc);
        if connection.peer.is_none() {
            // Between proxies only.
            answer.headers.remove(UNPROCESSED);
        }
        let status = (answer.status.as_u16(), refusal.failure.reason.grpc_status());
        record.refused(&refusal.failure, id, status);
        answer
    }

    fn broke_off(&self, record: &mut Record, failure: Failure) -> HeaderMap {
        let id = self.connection.worker.report_broken(Side::Server, &failure);
        record.broke_off(failure.reason, Some(id));
        error::trailers(&failure, id)
    }
}
