//! What is to be decided anew, since when, and what has to wait: pure bookkeeping of the controllers' loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::world::Key;

/// First pause after a failed write; doubled with each failure in a row.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause: a person who removes the cause sees the effect within it.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Pause between two writes of one status: a rollout of a thousand pods changes the count of ready endpoints a thousand
/// times, and people read it once.
const STATUS_REST: Duration = Duration::from_secs(1);

/// Keys that are dirty, in work, at rest after a write, or waiting after a failure; the first may be any of the others too.
#[derive(Debug, Default)]
pub(super) struct Queue {
    dirty: BTreeMap<Key, Instant>,
    in_work: BTreeSet<Key>,
    /// Keys of status written just now; dirty ones among them are not given out.
    at_rest: BTreeSet<Key>,
    /// When keys wake from a rest or a failure.
    waiting: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Something about `key` changed. The first notice counts for its age.
    pub(super) fn add(&mut self, key: Key, now: Instant) {
        self.dirty.entry(key).or_insert(now);
    }

    /// The next key to decide, most urgent first; one in work is not given twice.
    pub(super) fn take(&mut self) -> Option<(Key, Instant)> {
        let free = |key: &&Key| !self.in_work.contains(*key) && !self.at_rest.contains(*key);
        let key = self.dirty.keys().find(free)?.clone();
        let noticed = self.dirty.remove(&key)?;
        Some((key, noticed))
    }

    /// `key` is being written.
    pub(super) fn begin(&mut self, key: Key) {
        self.in_work.insert(key);
    }

    /// The write is over; a failed one comes back after a pause.
    pub(super) fn end(&mut self, key: Key, written: bool, now: Instant) {
        self.in_work.remove(&key);
        if written {
            self.failures.remove(&key);
            if matches!(key, Key::TrafficSplit(_) | Key::VirtualService(_) | Key::MeshPolicy(_)) {
                self.at_rest.insert(key.clone());
                self.waiting.insert((now + STATUS_REST, key));
            }
            return;
        }
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = RETRY_FIRST.saturating_mul(1 << (*failures).min(16)).min(RETRY_MAX);
        *failures += 1;
        self.waiting.insert((now + pause, key));
    }

    /// When the next key wakes.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Ends the rests and pauses that are over; a key that failed is dirty again.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some((at, _)) = self.waiting.first()
            && *at <= now
        {
            let Some((_, key)) = self.waiting.pop_first() else { return };
            if !self.at_rest.remove(&key) {
                self.add(key, now);
            }
        }
    }

    /// How many keys are being written.
    #[must_use]
    pub(super) fn in_work(&self) -> usize {
        self.in_work.len()
    }
}

#[cfg(test)]
mod tests;
