//! The network's side of HTTP/1: authorize each request, forward it to the application of this pod.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tulle_core::codes::Reason;

use super::request::Inbound;
use crate::error::Failure;
use crate::exchange::InFlight;
use crate::h1::{AttemptError, Exchange, Forwarding, Lease, Role};
use crate::record::Record;
use crate::upstream::dial::Terms;

impl Inbound<'_> {
    /// An error with `true`: another connection may serve the request.
    async fn send_h1(&self, exchange: &mut Exchange<'_>, now: Instant) -> Result<Lease, (Forwarding, bool)> {
        let in_flight = InFlight::begin(&self.application);
        let tls = &self.connection.worker.shared.tls;
        let mut connection = match self.application.kept_h1(&[], now) {
            Some(connection) => connection,
            None => match exchange.meanwhile(self.application.h1(tls, Terms::default())).await {
                Ok(connected) => connected.map_err(|failure| (failure.into(), false))?,
                Err(error) => return Err((Forwarding::CallerGone(error), false)),
            },
        };
        let error = match exchange.attempt(&mut connection.wire).await {
            Ok(facts) => return Ok(Lease { connection, in_flight, facts, at: Instant::now() }),
            Err(error) => error,
        };
        let failed = |reason, detail: &dyn std::fmt::Display| {
            Failure::new(reason, format!("{}: {detail}", self.connection.dialled)).into()
        };
        Err(match error {
            AttemptError::CallerGone(error) => (Forwarding::CallerGone(error), false),
            AttemptError::BadRequest(bad) => (Forwarding::Refused(bad.into()), false),
            AttemptError::BadAnswer(bad) => (failed(Reason::BadResponse, &bad), false),
            AttemptError::Upstream { error, touched } => {
                let reason = if touched { Reason::UpstreamReset } else { Reason::ConnectFailed };
                (failed(reason, &error), connection.reused && (!touched || exchange.facts.idempotent))
            }
        })
    }
}

impl Role for Inbound<'_> {
    /// Twice what callers' pools keep an idle connection, so that the caller closes first.
    const IDLE_LIMIT: Option<Duration> = Some(Duration::from_secs(90));

    /// Nobody in particular may send thousands of requests at the cost of one write, each of which is to be judged and counted.
    fn is_done_with_refused(&self) -> bool {
        self.connection.peer.is_none()
    }

    fn dialled(&self) -> SocketAddr {
        self.connection.dialled
    }

    /// Once more on another connection where a kept one had been closed; each that fails is one less in the pool.
    async fn forward(&self, (): &(), exchange: &mut Exchange<'_>, record: &mut Record) -> Result<Lease, Forwarding> {
        let mut now = record.arrival.at;
        loop {
            match self.send_h1(exchange, now).await {
                Ok(lease) => return Ok(lease),
                Err((_, true)) if exchange.request.rewind() => now = Instant::now(),
                Err((forwarding, _)) => return Err(forwarding),
            }
        }
    }

    fn answered(&self, (): &(), lease: &Lease, record: &mut Record) {
        record.answered(lease.facts.status, lease.at);
    }
}
