//! The network's side of HTTP/2: authorize each request, forward it to the application of this pod.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use tulle_core::codes::Reason;

use super::request::{self, Ticket};
use super::{Connection, authorize};
use crate::error::{Failure, Refusal};
use crate::exchange::InFlight;
use crate::http2::{AttemptError, Exchange, Forwarding, Head, Lease, Role};
use crate::metrics::cells::HttpCells;
use crate::upstream::{Upstream, Way};

/// Attempts on a request of which the application processed nothing: its connection was leaving when the first one arrived there.
const ATTEMPTS: u32 = 2;

/// See the module.
pub(super) struct Inbound<'a> {
    connection: &'a Connection,
    application: Rc<Upstream>,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, application: connection.worker.upstream(connection.dialled, Way::Local) }
    }

    /// An error with `true`: nothing was processed.
    async fn send(&self, exchange: &mut Exchange) -> Result<Lease, (Forwarding, bool)> {
        let in_flight = InFlight::begin(&self.application);
        let tls = &self.connection.worker.shared.tls;
        let connection = self.application.h2(tls, &[]).await;
        let connection = connection.map_err(|failure| (Forwarding::Refused(failure.into()), false))?;
        match exchange.attempt(&connection.sender).await {
            Ok(started) => Ok(Lease { started, in_flight, connection }),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: AttemptError) -> (Forwarding, bool) {
        let reset = error.reset();
        let AttemptError::Upstream { error, unprocessed } = error else { return (Forwarding::CallerGone, false) };
        let reason = if unprocessed { Reason::ConnectFailed } else { Reason::UpstreamReset };
        let refusal = Refusal::from(Failure::new(reason, format!("{}: {error}", self.connection.dialled)));
        match reset {
            Some(reset) if !unprocessed => (Forwarding::Reset(refusal, reset), false),
            _ => (Forwarding::Refused(refusal), unprocessed),
        }
    }
}

impl Role for Inbound<'_> {
    type Ticket = Ticket;

    fn judges_paths(&self) -> bool {
        authorize::judges_paths(&self.connection.worker)
    }

    fn admit(&self, head: &Head, started: Instant) -> Result<Ticket, Refusal> {
        request::admit(self.connection, head, started)
    }

    async fn forward(&self, _ticket: &Ticket, exchange: &mut Exchange) -> Result<Lease, Forwarding> {
        let mut attempt = 1;
        loop {
            match self.send(exchange).await {
                Ok(lease) => return Ok(lease),
                Err((_, true)) if attempt < ATTEMPTS && exchange.rewind() => attempt += 1,
                Err((forwarding, _)) => return Err(forwarding),
            }
        }
    }

    fn answered(&self, ticket: &Ticket, lease: &Lease) -> Arc<HttpCells> {
        request::answered(self.connection, ticket, lease.status())
    }

    fn refuse(&self, refusal: &Refusal, started: Instant, grpc: bool) -> (StatusCode, HeaderMap) {
        request::refuse(self.connection, refusal, started, grpc)
    }
}
