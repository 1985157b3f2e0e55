//! How often one asker may ask. The clock is an argument, so the rule is a table of instants.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Askers remembered at once, at about 100 bytes each: more than one replica serves pods, and forged tokens beyond it
/// still meet the bounded queue behind.
const ASKERS_MAX: usize = 65_536;

/// A rate limit for each key: `burst` at once, then one each `interval` (GCRA: one instant of memory a key).
#[derive(Debug)]
pub(super) struct Limiter<K> {
    burst: u32,
    interval: Duration,
    /// For each key the instant at which its whole burst is available again.
    free_at: HashMap<K, Instant>,
    capacity: usize,
}

impl<K: Eq + Hash> Limiter<K> {
    /// A limiter that remembers [`ASKERS_MAX`] keys.
    #[must_use]
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, free_at: HashMap::new(), capacity: ASKERS_MAX }
    }

    /// Counts one request of `key`.
    ///
    /// # Errors
    /// The time to wait before the next request will be admitted. A refused request is not counted.
    pub(super) fn admit(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if !self.free_at.contains_key(&key) && !self.make_room(now) {
            return Ok(()); // everybody remembered is busy: the bounded queue behind is what holds then
        }
        let free_at = self.free_at.get(&key).map_or(now, |at| (*at).max(now));
        let horizon = self.interval * self.burst;
        let next = free_at + self.interval;
        if let Some(early) = next.duration_since(now).checked_sub(horizon).filter(|early| !early.is_zero()) {
            return Err(early);
        }
        self.free_at.insert(key, next);
        Ok(())
    }

    fn make_room(&mut self, now: Instant) -> bool {
        if self.free_at.len() >= self.capacity {
            self.free_at.retain(|_, at| *at > now);
        }
        self.free_at.len() < self.capacity
    }
}

#[cfg(test)]
mod tests;
