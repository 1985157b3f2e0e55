//! The running watches: started and dropped so that the plan is covered, and widened without a gap. While a wider watch lists,
//! the narrower one keeps speaking; at the first complete list they change places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::BoxError;

use super::client::Clients;
use super::object::Scope;
use super::plan::{Plan, Selection};
use super::reach::Reach;
use super::watch::{Assignment, Event, News};

/// All watches, by scope.
pub(crate) struct Watches {
    clients: Clients,
    reach: Reach,
    events: mpsc::Sender<Event>,
    streaming: Arc<AtomicBool>,
    scopes: BTreeMap<Scope, Pair>,
    next_id: u64,
}

/// The watch that speaks for a scope, and the one that is about to.
#[derive(Default)]
struct Pair {
    current: Option<Running>,
    next: Option<Running>,
}

/// A running watch; it ends when this is dropped.
struct Running {
    id: u64,
    selection: Selection,
    task: AbortHandle,
    state: State,
}

/// What is known of a running watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) initialised: bool,
    pub(crate) last_event: Option<Instant>,
    /// Since when and why it fails.
    pub(crate) failing: Option<(Instant, Arc<str>)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watches {
    pub(crate) fn new(clients: Clients, reach: Reach, events: mpsc::Sender<Event>) -> Self {
        let streaming = Arc::new(AtomicBool::new(true));
        Self { clients, reach, events, streaming, scopes: BTreeMap::new(), next_id: 0 }
    }

    /// A client for a question that is no watch.
    pub(crate) fn client(&mut self) -> Result<kube::Client, BoxError> {
        self.clients.get(0)
    }

    /// Covers the plan: starts what is missing, drops scopes nobody needs, and returns these. With `narrow`, also replaces
    /// watches that cover more than is needed; that is done seldom, because it costs a list.
    pub(crate) fn cover(&mut self, plan: &Plan, narrow: bool) -> Result<Vec<Scope>, BoxError> {
        let dropped: Vec<Scope> = self.scopes.keys().filter(|scope| !plan.contains_key(*scope)).cloned().collect();
        self.scopes.retain(|scope, _| plan.contains_key(scope));
        for (scope, selection) in plan {
            let pair = self.scopes.entry(scope.clone()).or_default();
            if pair.lacks(selection, narrow) {
                let started = self.start(scope, selection)?;
                self.scopes.entry(scope.clone()).or_default().add(started);
            }
        }
        Ok(dropped)
    }

    /// Judges an event: `Some` with the selection behind it if the store is to take it.
    pub(crate) fn admit(&mut self, event: &Event) -> Option<Selection> {
        self.scopes.get_mut(&event.scope)?.admit(event.id, &event.news)
    }

    /// Number of running watches.
    pub(crate) fn len(&self) -> usize {
        self.scopes.values().map(|pair| usize::from(pair.current.is_some()) + usize::from(pair.next.is_some())).sum()
    }

    /// What is known of each scope's watch.
    pub(crate) fn states(&self) -> impl Iterator<Item = (&Scope, &State)> {
        self.scopes.iter().filter_map(|(scope, pair)| pair.current.as_ref().map(|running| (scope, &running.state)))
    }

    fn start(&mut self, scope: &Scope, selection: &Selection) -> Result<Running, BoxError> {
        let client = self.clients.get(self.len())?;
        self.next_id += 1;
        let assignment = Assignment {
            id: self.next_id,
            scope: scope.clone(),
            selection: selection.clone(),
            client,
            reach: self.reach.clone(),
            events: self.events.clone(),
            streaming: Arc::clone(&self.streaming),
        };
        let task = tokio::spawn(assignment.run()).abort_handle();
        Ok(Running { id: self.next_id, selection: selection.clone(), task, state: State::default() })
    }
}

impl Pair {
    /// Whether another watch must be started. One that is about to take over is waited for: several names that come to be used
    /// at once then share the watch after it.
    fn lacks(&self, selection: &Selection, narrow: bool) -> bool {
        let fits = self.current.as_ref().is_some_and(|current| match narrow {
            true => current.selection == *selection,
            false => current.selection.covers(selection),
        });
        !fits && self.next.is_none()
    }

    fn add(&mut self, started: Running) {
        let place = if self.current.is_none() { &mut self.current } else { &mut self.next };
        *place = Some(started);
    }

    /// The selection behind the news if the store is to take it. The next watch takes over with its first complete list.
    fn admit(&mut self, id: u64, news: &News) -> Option<Selection> {
        if matches!(news, News::Listed(_)) && self.next.as_ref().is_some_and(|next| next.id == id) {
            self.current = self.next.take();
        }
        if let Some(next) = self.next.as_mut().filter(|next| next.id == id) {
            next.state.note(news);
            return None;
        }
        let current = self.current.as_mut().filter(|current| current.id == id)?;
        current.state.note(news);
        current.state.initialised.then(|| current.selection.clone())
    }
}

impl State {
    fn note(&mut self, news: &News) {
        let now = Instant::now();
        match news {
            News::Failed(reason) => {
                let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
                self.failing = Some((since, reason.as_str().into()));
            }
            News::Listed(_) => {
                *self = State { initialised: true, last_event: Some(now), failing: None };
            }
            News::Applied(_) | News::Deleted(_) | News::Resumed => {
                self.last_event = Some(now);
                self.failing = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
