//! The network's side of HTTP/2: authorize each request, forward it to the application of this pod.

use std::time::{Duration, Instant};

use tulle_core::codes::Reason;

use super::request::Inbound;
use crate::error::{Failure, Refusal};
use crate::exchange::InFlight;
use crate::http2::{AttemptError, Exchange, Forwarding, Lease, Role};
use crate::record::Record;
use crate::upstream::dial::Terms;

/// Attempts on a request of which the application processed nothing, because its connection was leaving when the first one arrived there,
/// or on one that may be repeated (RFC 9110 §9.2.2) and whose connection was lost.
const ATTEMPTS: u32 = 2;

impl Inbound<'_> {
    /// An error with `true`: it may be sent again.
    async fn send_h2(&self, exchange: &mut Exchange) -> Result<Lease, (Forwarding, bool)> {
        let in_flight = InFlight::begin(&self.application);
        let tls = &self.connection.worker.shared.tls;
        let connection = self.application.h2(tls, Terms::default()).await;
        let connection = connection.map_err(|failure| (Forwarding::Refused(failure.into()), false))?;
        match exchange.attempt(&connection.sender).await {
            Ok(started) => Ok(Lease { started, in_flight, connection, at: Instant::now() }),
            Err(error) => {
                let stale = error.lost_connection() && exchange.head.method.is_idempotent();
                let (forwarding, unprocessed) = self.failed(error);
                Err((forwarding, unprocessed || stale))
            }
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
    fn connection_age(&self) -> Option<Duration> {
        self.connection.worker.shared.config.connection_age
    }

    async fn forward(&self, (): &(), exchange: &mut Exchange, _record: &mut Record) -> Result<Lease, Forwarding> {
        let mut attempt = 1;
        loop {
            match self.send_h2(exchange).await {
                Ok(lease) => return Ok(lease),
                Err((_, true)) if attempt < ATTEMPTS && exchange.rewind() => attempt += 1,
                Err((forwarding, _)) => return Err(forwarding),
            }
        }
    }

    fn answered(&self, (): &(), lease: &Lease, record: &mut Record) {
        record.answered(lease.status(), lease.at);
    }
}
