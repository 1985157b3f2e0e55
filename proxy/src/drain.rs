//! Leaving without losing a request: `Serving → Draining → Closed`.
//!
//! On SIGTERM the listeners stay open, because endpoints still point here; HTTP/2 peers get a GOAWAY, HTTP/1 answers say
//! `connection: close`. The proxy leaves as soon as nothing is open, or when the kubelet ends the grace period.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics::Side;

/// How long a silent HTTP/1 connection is kept while draining: callers learn from their watch within milliseconds that this pod is
/// terminating and close it themselves, which no request can race with. Five seconds forgive a slow watch.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether the proxy is leaving, and what is still open. Cloned into each connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    leaving: CancellationToken,
    /// The same as a flag: asking the token takes a lock, and each request asks.
    begun: Arc<AtomicBool>,
    open: Arc<Connections>,
}

/// Open connections of each direction.
#[derive(Debug, Default)]
struct Connections {
    outbound: AtomicUsize,
    inbound: AtomicUsize,
}

/// Counts one open connection until dropped.
#[derive(Debug)]
pub(crate) struct Open {
    connections: Arc<Connections>,
    side: Side,
}

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

    /// Counts a connection as open, unless its side has `most` already.
    pub(crate) fn open(&self, side: Side, most: usize) -> Option<Open> {
        // Counted first: threads that ask at once cannot all see the last place free.
        let open = Open { connections: Arc::clone(&self.open), side };
        let before = self.open.of(side).fetch_add(1, Ordering::Relaxed);
        (before < most).then_some(open)
    }

    /// Number of open connections, in both directions.
    pub(crate) fn open_connections(&self) -> usize {
        Side::ALL.map(|side| self.open_on(side)).iter().sum()
    }

    /// Number of open connections in one direction.
    pub(crate) fn open_on(&self, side: Side) -> usize {
        self.open.of(side).load(Ordering::Relaxed)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.of(self.side).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// Those the application opened, or those opened to it.
    fn of(&self, side: Side) -> &AtomicUsize {
        match side {
            Side::Client => &self.outbound,
            Side::Server => &self.inbound,
        }
    }
}
