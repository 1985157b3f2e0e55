//! How busy and how slow an upstream is, as this thread sees it: requests in flight × peak-sensitive moving average of latency.
//!
//! Peak EWMA: a latency above the average replaces it at once, below it decays over time, so that an endpoint that stalls loses
//! its traffic immediately and wins it back slowly.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Time after which an old latency weighs 1/e.
const DECAY: Duration = Duration::from_secs(10);
/// What a failed connection counts as: long enough that any working endpoint is preferred until it has decayed.
const FAILURE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: Cell<u32>,
    /// Seconds.
    average: Cell<f64>,
    updated: Cell<Option<Instant>>,
}

impl Load {
    /// What choosing this upstream would cost; smaller is better. An upstream never used costs nothing, so that it is tried.
    pub(crate) fn cost(&self, now: Instant) -> f64 {
        (f64::from(self.in_flight.get()) + 1.0) * self.decayed(now)
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// A request's answer began after `latency`.
    pub(crate) fn observe(&self, latency: Duration, now: Instant) {
        let latency = latency.as_secs_f64();
        let average = self.average.get();
        let next = if latency > average {
            latency
        } else {
            let weight = self.weight(now);
            average * weight + latency * (1.0 - weight)
        };
        self.average.set(next);
        self.updated.set(Some(now));
    }

    /// A connection could not be opened or broke.
    pub(crate) fn failed(&self, now: Instant) {
        self.observe(FAILURE, now);
    }

    /// A request is over.
    pub(crate) fn end(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    fn decayed(&self, now: Instant) -> f64 {
        self.average.get() * self.weight(now)
    }

    fn weight(&self, now: Instant) -> f64 {
        match self.updated.get() {
            Some(updated) => (-(now.saturating_duration_since(updated).as_secs_f64()) / DECAY.as_secs_f64()).exp(),
            None => 0.0,
        }
    }
}

/// Power of two choices: of two candidates drawn at random the cheaper one. `draw` is uniform over `u64`.
pub(crate) fn choose<T>(candidates: &[T], draw: u64, cost: impl Fn(&T) -> f64) -> Option<&T> {
    let count = candidates.len() as u64;
    match candidates {
        [] => None,
        [only] => Some(only),
        _ => {
            let first = (draw >> 32) % count;
            // The second of the remaining ones: never the same twice.
            let second = (first + 1 + (draw & 0xffff_ffff) % (count - 1)) % count;
            let (first, second) = (&candidates[first as usize], &candidates[second as usize]);
            Some(if cost(second) < cost(first) { second } else { first })
        }
    }
}

#[cfg(test)]
mod tests;
