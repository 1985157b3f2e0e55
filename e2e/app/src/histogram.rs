//! Latencies in buckets of equal relative width, as HdrHistogram keeps them: small, and exact to about 1.6 %.

use serde::Serialize;

/// Linear steps within each power of two: 64 bound the relative error at 1/64.
const STEPS_LOG2: u32 = 6;
const STEPS: usize = 1 << STEPS_LOG2;
/// Powers of two above the linear start; 2^36 µs are 19 hours.
const MAGNITUDES: usize = 30;

/// Counts of durations in microseconds.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

/// The quantiles people ask for, in microseconds; an upper bound of the bucket the quantile falls into.
#[derive(Serialize)]
pub(crate) struct Quantiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * (MAGNITUDES + 1)], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds one duration in microseconds.
    pub(crate) fn record(&mut self, micros: u64) {
        let last = self.counts.len() - 1;
        self.counts[bucket(micros).min(last)] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// The usual quantiles.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |share: f64| self.quantile(share);
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: self.max }
    }

    fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.total as f64) * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return upper_bound(index).min(self.max);
            }
        }
        0 // nothing recorded
    }
}

/// Values below `2 * STEPS` have a bucket each; above, every power of two is cut into `STEPS` steps.
fn bucket(value: u64) -> usize {
    let magnitude = (u64::BITS - value.leading_zeros()).saturating_sub(STEPS_LOG2 + 1);
    let step = (value >> magnitude) as usize; // STEPS..2 * STEPS, and from 0 where nothing was shifted out
    STEPS * magnitude as usize + step
}

fn upper_bound(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let magnitude = bucket / STEPS - 1;
    let step = (bucket % STEPS + STEPS) as u64;
    ((step + 1) << magnitude) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_at_most_one_step_below_its_bound() {
        for value in (0..5_000).chain([10_000, 123_456, 1_000_000, 59_999_999]) {
            let bound = upper_bound(bucket(value));
            assert!(bound >= value, "{value}: {bound}");
            assert!(bound - value <= value / STEPS as u64, "{value}: {bound}");
        }
    }

    #[test]
    fn quantiles_of_a_hundred_even_values() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value));
        let quantiles = histogram.quantiles();
        assert_eq!(
            (quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p999, quantiles.max),
            (50, 90, 99, 100, 100)
        );
    }

    #[test]
    fn an_empty_histogram_has_zeros() {
        assert_eq!(Histogram::default().quantiles().p99, 0);
    }
}
