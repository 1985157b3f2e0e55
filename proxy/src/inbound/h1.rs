//! The network's side of HTTP/1: authorize each request, forward it to the application of this pod.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use tulle_core::codes::Reason;

use super::request::{self, Ticket};
use super::{Connection, authorize};
use crate::error::{Failure, Refusal};
use crate::exchange::InFlight;
use crate::h1::{AttemptError, Exchange, Forwarding, Lease, Role, View};
use crate::metrics::cells::HttpCells;
use crate::upstream::{Upstream, Way};

/// See the module.
pub(super) struct Inbound<'a> {
    connection: &'a Connection,
    application: Rc<Upstream>,
}

impl<'a> Inbound<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, application: connection.worker.upstream(connection.dialled, Way::Local) }
    }

    async fn send(&self, exchange: &mut Exchange<'_>) -> Result<Lease, (Result<Failure, Forwarding>, bool)> {
        let in_flight = InFlight::begin(&self.application);
        let tls = &self.connection.worker.shared.tls;
        let mut connection = self.application.h1(tls, &[]).await.map_err(|failure| (Ok(failure), false))?;
        match exchange.attempt(&mut connection.wire).await {
            Ok(facts) => Ok(Lease { connection, in_flight, facts }),
            Err(AttemptError::CallerGone(error)) => Err((Err(Forwarding::CallerGone(error)), false)),
            Err(AttemptError::BadRequest(bad)) => Err((Err(Forwarding::Refused(bad.into())), false)),
            Err(AttemptError::BadAnswer(bad)) => {
                let detail = format!("{}: {bad}", self.connection.dialled);
                Err((Ok(Failure::new(Reason::UpstreamReset, detail)), false))
            }
            Err(AttemptError::Upstream { error, touched }) => {
                let reason = if touched { Reason::UpstreamReset } else { Reason::ConnectFailed };
                let again = connection.reused && (!touched || exchange.facts.idempotent);
                Err((Ok(Failure::new(reason, format!("{}: {error}", self.connection.dialled))), again))
            }
        }
    }
}

impl Role for Inbound<'_> {
    type Ticket = Ticket;
    /// Twice what callers' pools keep an idle connection, so that the caller closes first.
    const HEAD_TIMEOUT: Option<Duration> = Some(Duration::from_secs(90));

    fn judges_paths(&self) -> bool {
        authorize::judges_paths(&self.connection.worker)
    }

    fn dialled(&self) -> SocketAddr {
        self.connection.dialled
    }

    fn admit(&self, view: &View<'_>, started: Instant) -> Result<Ticket, Refusal> {
        request::admit(self.connection, view, started)
    }

    /// Once more on another connection where a kept one had been closed; each that fails is one less in the pool.
    async fn forward(&self, _ticket: &Ticket, exchange: &mut Exchange<'_>) -> Result<Lease, Forwarding> {
        loop {
            match self.send(exchange).await {
                Ok(lease) => return Ok(lease),
                Err((Ok(_), true)) if exchange.request.rewind() => {}
                Err((Ok(failure), _)) => return Err(failure.into()),
                Err((Err(forwarding), _)) => return Err(forwarding),
            }
        }
    }

    fn answered(&self, ticket: &Ticket, lease: &Lease) -> Arc<HttpCells> {
        request::answered(self.connection, ticket, lease.facts.status)
    }

    fn refuse(&self, refusal: &Refusal, started: Instant, grpc: bool) -> (StatusCode, HeaderMap) {
        request::refuse(self.connection, refusal, started, grpc)
    }
}
