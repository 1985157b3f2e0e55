//! Leaving without losing a request: `Serving → Draining → Closed`.
//!
//! On SIGTERM the listeners stay open, because endpoints still point here; HTTP/2 peers get a GOAWAY, HTTP/1 answers say
//! `connection: close`. The proxy leaves as soon as nothing is open, or when the kubelet ends the grace period.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long a silent HTTP/1 connection is kept while draining: callers learn from their watch within milliseconds that this pod is
/// terminating and close it themselves, which no request can race with. Five seconds forgive a slow watch.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether the proxy is leaving, and what is still open. Cloned into each connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    leaving: CancellationToken,
    /// The same as a flag: asking the token takes a lock, and each request asks.
    begun: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
}

/// Counts one open connection until dropped.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicUsize>);

impl Drain {
    /// Begins to drain.
    pub(crate) fn start(&self) {
        self.begun.store(true, Ordering::Release);
        self.leaving.cancel();
    }

    /// Whether answers should announce the end of their connection.
    pub(crate) fn is_draining(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Resolves when draining begins.
    pub(crate) async fn started(&self) {
        self.leaving.cancelled().await;
    }

    /// Resolves when silent connections may be closed.
    pub(crate) async fn silence_over(&self) {
        self.leaving.cancelled().await;
        tokio::time::sleep(SILENCE).await;
    }

    /// Counts a connection as open.
    pub(crate) fn open(&self) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(Arc::clone(&self.open))
    }

    /// Number of open connections.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
