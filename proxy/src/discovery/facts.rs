//! What discovery tells about itself: for readiness, metrics and the admin page.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::object::Scope;
use super::reach::Away;
use super::store::Applied;

/// The state of discovery at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Generation of the published snapshot.
    pub(crate) generation: u64,
    /// Addresses known, those outside the mesh included.
    pub(crate) addresses: usize,
    /// Whether the API server answers.
    pub(crate) away: Option<Away>,
    /// The watches by scope.
    pub(crate) watches: Vec<WatchFact>,
    /// The objects of users in force.
    pub(crate) applied: Vec<Applied>,
}

/// One watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchFact {
    pub(crate) scope: Scope,
    /// Whether it has listed everything it selects.
    pub(crate) initialised: bool,
    pub(crate) last_event: Option<Instant>,
    /// Why it does not run.
    pub(crate) failing: Option<Arc<str>>,
}

impl Facts {
    /// For how long the API server has not answered: the age of what the proxy works from. Zero while it answers.
    pub(crate) fn stale(&self) -> Duration {
        self.away.as_ref().map_or(Duration::ZERO, |away| away.since.elapsed())
    }
}
