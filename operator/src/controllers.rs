//! (shell) The leader's one loop: take in what the watches tell → decide the keys it touched → write. One task holds the
//! world, so there are no locks; writes run beside it, one at a time for each key.
//!
//! Nothing is debounced: a notice is decided at once, and what arrives while a write is under way is decided together
//! after it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::{CallError, Writer};
use crate::desired::{self, Settings};
use crate::metrics::Metrics;
use crate::world::{Change, Key, World};
use queue::Queue;
use watches::{Notice, Watches};

mod queue;
mod watches;
mod write;

/// Writes under way at once. Each is a round trip to the API server of a few milliseconds; a start on a cluster of
/// 10,000 Services then takes seconds, and the API server's fair queueing has nothing to object to.
const WRITES_MAX: usize = 16;
/// Notices taken in before the loop turns to writing again.
const BATCH: usize = 256;

/// What the loop is made of.
pub struct Controllers {
    /// The only writer.
    pub writer: Writer,
    /// What decisions need beside the world.
    pub settings: Settings,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

struct Done {
    key: Key,
    noticed: Instant,
    result: Result<Vec<Change>, CallError>,
}

struct Loop {
    controllers: Controllers,
    world: World,
    queue: Queue,
    work: JoinSet<Done>,
    /// Last counted (Ready, reason) of each user object.
    counted: HashMap<Key, (String, String)>,
}

impl Controllers {
    /// Runs until `stop`, which is the end of this replica's leadership or of the process.
    pub async fn run(self, stop: CancellationToken) {
        let metrics = Arc::clone(&self.metrics);
        let watches = watches::start(self.writer.client(), &self.settings.system_namespace, &metrics);
        let state = Loop {
            world: World::new(&self.settings.system_namespace),
            controllers: self,
            queue: Queue::default(),
            work: JoinSet::new(),
            counted: HashMap::new(),
        };
        // Dropping it aborts writes under way. That is safe: a write is one request, and the fence refuses later ones.
        stop.run_until_cancelled(state.run(watches)).await;
        metrics.objects_forgotten();
    }
}

impl Loop {
    async fn run(mut self, mut watches: Watches) {
        let mut incomplete = watches.count;
        self.queue.add(Key::Bindings, Instant::now());
        loop {
            let due = self.queue.next_due();
            tokio::select! {
                notice = watches.notices.recv() => {
                    let Some(notice) = notice else { return };
                    incomplete -= self.take_in(notice);
                    for _ in 1..BATCH {
                        let Some(Some(notice)) = watches.notices.recv().now_or_never() else { break };
                        incomplete -= self.take_in(notice);
                    }
                }
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return, // aborted: the loop itself is ending
                    },
                },
                () = sleep_until(due) => self.queue.wake(Instant::now()),
            }
            if incomplete == 0 {
                self.start_work(); // not before: a Service that is not listed yet would look deleted
            }
        }
    }

    /// Takes in one notice; 1 where it completes a watch.
    fn take_in(&mut self, notice: Notice) -> usize {
        match notice {
            Notice::Complete => 1,
            Notice::Change(change) => {
                self.change(change);
                0
            }
        }
    }

    fn change(&mut self, change: Change) {
        let mut dirty = BTreeSet::new();
        self.world.take_in(change, &mut dirty);
        let now = Instant::now();
        for key in dirty {
            self.queue.add(key, now);
        }
    }

    fn start_work(&mut self) {
        while self.queue.in_work() < WRITES_MAX
            && let Some((key, noticed)) = self.queue.take()
        {
            self.count(&key);
            let Some(plan) = desired::plan(&key, &self.world, &self.controllers.settings, Timestamp::now()) else {
                continue;
            };
            self.queue.begin(key.clone());
            let writer = self.controllers.writer.clone();
            self.work.spawn(async move {
                let result = write::carry_out(&writer, plan).await;
                Done { key, noticed, result }
            });
        }
    }

    fn finish(&mut self, done: Done) {
        let Done { key, noticed, result } = done;
        let outcome = match &result {
            Ok(_) => "written",
            Err(_) => "failed",
        };
        self.controllers.metrics.reconciled(key.kind(), outcome, noticed.elapsed());
        self.queue.end(key.clone(), result.is_ok(), Instant::now());
        match result {
            Ok(changes) => {
                tracing::debug!(kind = key.kind(), ?key, "written");
                for change in changes {
                    self.change(change); // known at once, and not only when the watch tells
                }
            }
            Err(CallError::NotLeader) => {}
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(kind = key.kind(), ?key, error, "not written, trying again");
            }
        }
    }

    /// Keeps the gauge of user objects by Ready and reason.
    fn count(&mut self, key: &Key) {
        let state = desired::report::ready_state(key, &self.world);
        let before = match &state {
            Some(state) => self.counted.insert(key.clone(), state.clone()),
            None => self.counted.remove(key),
        };
        if before != state {
            self.controllers.metrics.object_moved(key.kind(), before.as_ref(), state.as_ref());
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => tokio::time::sleep(Duration::MAX).await, // nothing is waiting: another branch wakes the loop
    }
}
