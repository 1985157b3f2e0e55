//! What is to be decided anew, since when, and what has to wait: pure bookkeeping of the controllers' loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::world::Key;

/// First pause after a failed write; doubled with each failure in a row.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause: a person who removes the cause sees the effect within it.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Keys in four states: dirty, in work, dirty while in work, and waiting after a failure.
#[derive(Debug, Default)]
pub struct Queue {
    dirty: BTreeMap<Key, Instant>,
    in_work: BTreeSet<Key>,
    /// Due instants of keys that failed, with the number of failures.
    waiting: BTreeSet<(Instant, Key)>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Something about `key` changed. The first notice counts for its age.
    pub fn add(&mut self, key: Key, now: Instant) {
        self.dirty.entry(key).or_insert(now);
    }

    /// The next key to decide, most urgent first; one in work is not given twice.
    pub fn take(&mut self) -> Option<(Key, Instant)> {
        let key = self.dirty.keys().find(|key| !self.in_work.contains(*key))?.clone();
        let noticed = self.dirty.remove(&key)?;
        Some((key, noticed))
    }

    /// `key` is being written.
    pub fn begin(&mut self, key: Key) {
        self.in_work.insert(key);
    }

    /// The write is over; a failed one comes back after a pause.
    pub fn end(&mut self, key: Key, written: bool, now: Instant) {
        self.in_work.remove(&key);
        if written {
            self.failures.remove(&key);
            return;
        }
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = RETRY_FIRST.saturating_mul(1 << (*failures).min(16)).min(RETRY_MAX);
        *failures += 1;
        self.waiting.insert((now + pause, key));
    }

    /// When the next failed key is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Makes failed keys that are due dirty again.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, _)) = self.waiting.first()
            && *at <= now
        {
            if let Some((_, key)) = self.waiting.pop_first() {
                self.add(key, now);
            }
        }
    }

    /// How many keys are being written.
    #[must_use]
    pub fn in_work(&self) -> usize {
        self.in_work.len()
    }
}

#[cfg(test)]
mod tests;
