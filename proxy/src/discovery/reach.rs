//! Whether the API server answers, as every request and every watch sees it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

/// The last word about the API server. Cheap to clone; all clones speak of the same server.
#[derive(Clone, Debug)]
pub(crate) struct Reach(watch::Sender<Option<Away>>);

/// Since when and why the API server does not answer.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    pub(crate) since: Instant,
    pub(crate) reason: Arc<str>,
}

impl Reach {
    /// Assumes that the server is there until a request fails.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// A request was answered.
    pub(crate) fn answered(&self) {
        self.0.send_if_modified(|away| away.take().is_some());
    }

    /// A request was not answered. The first reason of an outage is kept.
    pub(crate) fn failed(&self, reason: &str) {
        self.0.send_if_modified(|away| {
            let first = away.is_none();
            away.get_or_insert_with(|| Away { since: Instant::now(), reason: reason.into() });
            first
        });
    }

    /// The outage under way, if there is one.
    pub(crate) fn away(&self) -> Option<Away> {
        self.0.borrow().clone()
    }

    /// Changes of the answer, the current one counted as seen.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Away>> {
        self.0.subscribe()
    }
}
