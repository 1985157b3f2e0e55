//! The cells a data thread counts in: one writer, so no read-modify-write; relaxed, because a scrape needs no order.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency buckets in seconds: the 14 of OpenTelemetry's HTTP convention, finer below for sub-millisecond hops,
/// longer above for slow calls.
pub(crate) const BUCKETS: [f64; 19] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
];

/// A counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A gauge with one writer.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn add(&self, amount: i64) {
        self.0.store(self.0.load(Relaxed) + amount, Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Requests of one label set.
#[derive(Debug, Default)]
pub(crate) struct HttpCells {
    /// By status code.
    codes: Codes,
    pub(crate) active: Gauge,
    /// Requests whose answer broke off.
    pub(crate) aborted: Count,
    pub(crate) response_bytes: Count,
    latency: [Count; BUCKETS.len() + 1],
    latency_nanoseconds: Count,
}

/// Code (0: free row) and count, in order of first use. A table of all 500 statuses would be 4 KiB a series.
#[derive(Debug, Default)]
struct Codes([(AtomicU64, Count); 16]);

impl HttpCells {
    /// Counts an answered request.
    pub(crate) fn answered(&self, status: u16, latency: Duration) {
        self.codes.count(status);
        let seconds = latency.as_secs_f64();
        self.latency[BUCKETS.partition_point(|bound| *bound < seconds)].add(1);
        self.latency_nanoseconds.add(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Requests by status code.
    pub(crate) fn by_code(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.codes
            .0
            .iter()
            .filter(|(code, _)| code.load(Relaxed) != 0)
            .map(|(code, count)| (u16::try_from(code.load(Relaxed)).expect("written from a status code"), count.get()))
    }

    /// Requests by latency bucket, not cumulative, the last one beyond every bound.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = u64> + '_ {
        self.latency.iter().map(Count::get)
    }

    /// Sum of all latencies in seconds.
    pub(crate) fn latency_seconds(&self) -> f64 {
        Duration::from_nanos(self.latency_nanoseconds.get()).as_secs_f64()
    }
}

impl Codes {
    fn count(&self, status: u16) {
        let (last, usual) = self.0.split_last().expect("the table has sixteen rows");
        for (code, count) in usual {
            match code.load(Relaxed) {
                0 => code.store(u64::from(status), Relaxed),
                known if known == u64::from(status) => {}
                _ => continue,
            }
            return count.add(1);
        }
        // A sixteenth distinct code of one label set: counted under its class, as 500 for 507.
        last.0.store(u64::from(status / 100 * 100), Relaxed);
        last.1.add(1);
    }
}

/// Connections of one label set.
#[derive(Debug, Default)]
pub(crate) struct TcpCells {
    pub(crate) opened: Count,
    pub(crate) open: Gauge,
    /// From the caller to the callee.
    pub(crate) sent_bytes: Count,
    /// From the callee to the caller.
    pub(crate) received_bytes: Count,
}

/// Refusals of one label set.
#[derive(Debug, Default)]
pub(crate) struct RefusalCells(Count);

impl RefusalCells {
    pub(crate) fn count(&self) {
        self.0.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests;
