//! Counters of the data path. Each data thread writes cells of its own with plain loads and stores; the scrape adds threads up.
//!
//! A series is found once per connection or choice of backend, not per request. Names, labels and units: `docs/metrics.md`.

pub(crate) mod cells;
pub(crate) mod detection;
mod expiry;
pub(crate) mod render;
pub(crate) mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cells::{HttpCells, MirrorCells, RefusalCells, TcpCells};
use detection::Detections;
use expiry::Kept;
pub(crate) use expiry::expire;

/// Series a data thread may have; past that everything goes to one series labelled `other`, so that hostile or careless callers
/// cannot grow the proxy's memory or the metrics server's.
const SERIES_MAX: usize = 2000;

/// Which side of the request this proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    /// The caller's proxy.
    Client,
    /// The callee's proxy.
    Server,
}

impl Side {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Client, Self::Server];

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Labels of a series, in the order they are written. The proxy's own namespace and workload are added at the scrape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels {
    pub(crate) side: Side,
    /// Caller's namespace: own or from its certificate; empty when unmeshed.
    pub(crate) src_namespace: Arc<str>,
    /// Caller's ServiceAccount (from its certificate) or own workload; `unmeshed` without a certificate.
    pub(crate) src_workload: Arc<str>,
    /// Callee's namespace.
    pub(crate) dst_namespace: Arc<str>,
    /// Service as dialled, own workload on the server side.
    pub(crate) dst_service: Arc<str>,
    /// Rule of a VirtualService that took the request or connection; empty where none did, and on the server side.
    pub(crate) route: Arc<str>,
    /// Service whose endpoint was chosen; the port on the server side.
    pub(crate) backend: Arc<str>,
    /// Whether the hop is mutual TLS.
    pub(crate) mtls: bool,
}

/// Why a request was refused, as a label set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RefusalLabels {
    pub(crate) side: Side,
    pub(crate) reason: &'static str,
    pub(crate) code: &'static str,
    /// `namespace/name` of the policy, empty where none decided.
    pub(crate) policy: Arc<str>,
}

/// The series of one data thread.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    series: Mutex<Series>,
    /// Connections whose protocol had to be found out.
    pub(crate) detections: Detections,
}

#[derive(Debug, Default)]
pub(crate) struct Series {
    pub(crate) http: HashMap<Labels, Kept<HttpCells>>,
    pub(crate) tcp: HashMap<Labels, Kept<TcpCells>>,
    pub(crate) mirrored: HashMap<Labels, Kept<MirrorCells>>,
    pub(crate) refusals: HashMap<RefusalLabels, Kept<RefusalCells>>,
}

impl Shard {
    /// The HTTP cells of these labels. The lock is taken here and at the scrape only.
    pub(crate) fn http(&self, labels: Labels) -> Arc<HttpCells> {
        find(&mut self.lock().http, labels)
    }

    /// The TCP cells of these labels.
    pub(crate) fn tcp(&self, labels: Labels) -> Arc<TcpCells> {
        find(&mut self.lock().tcp, labels)
    }

    /// The cells of copies with these labels.
    pub(crate) fn mirrored(&self, labels: Labels) -> Arc<MirrorCells> {
        find(&mut self.lock().mirrored, labels)
    }

    /// Counts a refusal; refusals are rare enough to look the series up each time.
    pub(crate) fn refused(&self, labels: RefusalLabels) {
        let mut series = self.lock();
        let has_room = series.refusals.len() < SERIES_MAX || series.refusals.contains_key(&labels);
        // Reasons and codes are closed lists; only names of policies can be many.
        let labels = if has_room { labels } else { RefusalLabels { policy: Arc::from("other"), ..labels } };
        series.refusals.entry(labels).or_default().used().count();
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Series> {
        // Cells stay consistent whatever happens to their holder.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cells of these labels, or, where there are too many series, those of all others.
fn find<C: Default>(family: &mut HashMap<Labels, Kept<C>>, labels: Labels) -> Arc<C> {
    let has_room = family.len() < SERIES_MAX || family.contains_key(&labels);
    let labels = if has_room { labels } else { overflow(labels.side) };
    Arc::clone(family.entry(labels).or_default().used())
}

fn overflow(side: Side) -> Labels {
    let other: Arc<str> = Arc::from("other");
    Labels {
        side,
        src_namespace: Arc::clone(&other),
        src_workload: Arc::clone(&other),
        dst_namespace: Arc::clone(&other),
        dst_service: Arc::clone(&other),
        route: Arc::clone(&other),
        backend: other,
        mtls: false,
    }
}

#[cfg(test)]
mod tests;
