//! Series that nothing counts in any more leave, so that pods and rules that are gone do not stay in the metrics for ever.
//!
//! A series leaves all threads at once. If one thread's part left alone, the sum would fall without being 0, and whoever computes a rate
//! would take that for a reset and count what is left again. A series that comes back begins at 0, which every reader of counters
//! understands.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Series, Shard};

/// How often is looked.
const PERIOD: Duration = Duration::from_secs(60);
/// Looks in a row that must find a series unused: an hour, longer than the ranges that alerts are computed over.
const LOOKS: u32 = 60;

/// Cells of a label set. Counting in them takes a handle, which is asked for here, so that being unused can be seen without a mark at each
/// request.
#[derive(Debug, Default)]
pub(crate) struct Kept<C> {
    cells: Arc<C>,
    /// Looks in a row that found nobody who holds or has asked for them.
    idle: u32,
}

impl<C> Kept<C> {
    /// The cells, for somebody who counts.
    pub(super) fn used(&mut self) -> &Arc<C> {
        self.idle = 0;
        &self.cells
    }

    fn look(&mut self) -> u32 {
        let is_held = Arc::strong_count(&self.cells) > 1;
        self.idle = if is_held { 0 } else { self.idle.saturating_add(1) };
        self.idle
    }
}

impl<C> Deref for Kept<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.cells
    }
}

/// Looks through the series of all threads until shutdown.
pub(crate) async fn expire(shards: Vec<Arc<Shard>>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        look(&shards);
    }
}

/// One look; what was unused often enough leaves.
fn look(shards: &[Arc<Shard>]) {
    // All of them locked: nobody can take a handle between the look and the end.
    let mut series: Vec<_> = shards.iter().map(|shard| shard.lock()).collect();
    look_at(&mut series, |series| &mut series.http);
    look_at(&mut series, |series| &mut series.tcp);
    look_at(&mut series, |series| &mut series.mirrored);
    look_at(&mut series, |series| &mut series.refusals);
}

fn look_at<K: Clone + Eq + Hash, C>(
    shards: &mut [MutexGuard<'_, Series>],
    family: fn(&mut Series) -> &mut HashMap<K, Kept<C>>,
) {
    let (mut used, mut unused) = (HashSet::new(), false);
    for shard in &mut *shards {
        for (labels, kept) in family(shard) {
            if kept.look() < LOOKS {
                used.insert(labels.clone());
            } else {
                unused = true;
            }
        }
    }
    if unused {
        shards.iter_mut().for_each(|shard| family(shard).retain(|labels, _| used.contains(labels)));
    }
}

#[cfg(test)]
mod tests;
