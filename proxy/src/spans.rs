//! Spans of requests for a collector that takes OTLP: begun where the caller's trace or a draw asks for one, ended with the request, sent
//! by a task of the control thread ([ADR 0021](../../docs/adr/0021-spans.md)).
//!
//! A collector that is slow or away loses spans, never requests.

pub(crate) mod export;
mod otlp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tulle_core::route::RequestView;
use tulle_core::route::filter::percent::Percent;
use tulle_core::trace::{self, Outgoing};

use crate::metrics::Side;

/// Spans that may wait for the exporter. Each is bounded as a line of the access log is, so this is a few MiB at worst.
const QUEUE: usize = 2048;

/// Takes spans. None of it is there where no collector is configured.
#[derive(Debug)]
pub(crate) struct Spans {
    /// Of the traces that begin here.
    sampling: Percent,
    queue: Sender<Ended>,
    counts: Counts,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// The collector has them.
    pub(crate) exported: AtomicU64,
    /// It does not: the queue was full, or it refused them or was away.
    pub(crate) dropped: AtomicU64,
}

/// A span that is being recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) spans: Arc<Spans>,
    pub(crate) trace: Outgoing,
}

/// A span that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) trace: Outgoing,
    pub(crate) side: Side,
    pub(crate) name: String,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) attributes: Vec<(&'static str, Value)>,
    /// Whether it counts as a failure.
    pub(crate) failed: bool,
}

/// Value of an attribute.
#[derive(Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
}

impl Spans {
    /// Spans of this share of the traces that begin here, and those that callers record; they are for the receiver.
    pub(crate) fn new(sampling: Percent) -> (Arc<Spans>, Receiver<Ended>) {
        let (queue, ended) = channel(QUEUE);
        (Arc::new(Spans { sampling, queue, counts: Counts::default() }), ended)
    }

    /// What the next hop is told of the request's trace; `None`: what its caller said. `draw` is uniform.
    pub(crate) fn join(&self, request: &impl RequestView, mut draw: impl FnMut() -> u64) -> Option<Outgoing> {
        let incoming = trace::read(request);
        let sampled = incoming.is_sampled(|| self.sampling.covers(draw()));
        (!incoming.may_pass(sampled)).then(|| incoming.continued(sampled, [draw(), draw(), draw()]))
    }

    /// Takes a span, or counts it as dropped.
    pub(crate) fn take(&self, span: Ended) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of them.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// The two attributes of an address (OpenTelemetry semantic conventions, "network.peer").
pub(crate) fn peer(address: SocketAddr) -> [(&'static str, Value); 2] {
    [("network.peer.address", address.ip().to_string().into()), ("network.peer.port", u64::from(address.port()).into())]
}

#[cfg(test)]
mod tests;
