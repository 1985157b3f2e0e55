//! The cells a data thread counts in: one writer, so no read-modify-write; relaxed, because a scrape needs no order.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tulle_core::codes::Reason;

use crate::mirror;

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
    /// How requests were answered, or that they were not. A table of all statuses and reasons would be 70 KiB a series.
    outcomes: Outcomes<16>,
    /// Why answers broke off.
    aborts: Outcomes<6>,
    pub(crate) active: Gauge,
    pub(crate) request_bytes: Count,
    pub(crate) response_bytes: Count,
    latency: [Count; BUCKETS.len() + 1],
    latency_nanoseconds: Count,
    rare: OnceLock<Box<RareCells>>,
}

/// What only some label sets count.
#[derive(Debug, Default)]
pub(crate) struct RareCells {
    /// gRPC calls by status; the last one for numbers gRPC does not know.
    pub(crate) grpc: [Count; GRPC_STATUSES.len()],
    /// Attempts after the first.
    pub(crate) retries: [Count; RetryCause::ALL.len()],
}

/// Why a request was sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RetryCause {
    /// Nothing of it was processed.
    Unprocessed,
    /// The kept connection it went out on was closed, and repeating it does no harm.
    ConnectionClosed,
    /// The rule asks for it after this answer.
    Answer,
    /// The rule asks for it after an attempt without answer.
    NoAnswer,
}

impl RetryCause {
    pub(crate) const ALL: [Self; 4] = [Self::Unprocessed, Self::ConnectionClosed, Self::Answer, Self::NoAnswer];

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unprocessed => "unprocessed",
            Self::ConnectionClosed => "connection-closed",
            Self::Answer => "answer",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// Names of the gRPC statuses by number (gRPC core, `statuscodes.md`).
pub(crate) const GRPC_STATUSES: [&str; 18] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "_OTHER",
];

impl HttpCells {
    /// Counts an answer, the destination's (`None`) or the mesh's own.
    pub(crate) fn answered(&self, status: u16, reason: Option<Reason>, latency: Duration) {
        self.outcomes.count(Outcome { status, reason });
        let seconds = latency.as_secs_f64();
        self.latency[BUCKETS.partition_point(|bound| *bound < seconds)].add(1);
        self.latency_nanoseconds.add(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a request that got no answer at all.
    pub(crate) fn unanswered(&self, reason: Reason) {
        self.outcomes.count(Outcome { status: 0, reason: Some(reason) });
    }

    /// Counts an answer that broke off.
    pub(crate) fn aborted(&self, reason: Reason) {
        self.aborts.count(Outcome { status: 0, reason: Some(reason) });
    }

    /// Counts a gRPC call that ended.
    pub(crate) fn grpc_ended(&self, status: u32) {
        let place = (status as usize).min(GRPC_STATUSES.len() - 1);
        self.rare.get_or_init(Box::default).grpc[place].add(1);
    }

    /// Counts an attempt after the first.
    pub(crate) fn retried(&self, cause: RetryCause) {
        self.rare.get_or_init(Box::default).retries[cause as usize].add(1);
    }

    /// Requests by how they were answered.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        self.outcomes.iter()
    }

    /// Answers that broke off, by reason.
    pub(crate) fn aborts(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        self.aborts.iter()
    }

    /// What only some label sets count, if this one does.
    pub(crate) fn rare(&self) -> Option<&RareCells> {
        self.rare.get().map(|rare| &**rare)
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

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    /// Status of the answer; 0: there was none.
    pub(crate) status: u16,
    /// Why the mesh answered, or nobody did.
    pub(crate) reason: Option<Reason>,
}

impl Outcome {
    /// Never 0: one of the two is there.
    fn code(self) -> u64 {
        u64::from(self.status) | self.reason.map_or(0, |reason| (reason as u64 + 1) << 16)
    }

    fn from_code(code: u64) -> Self {
        let reason = ((code >> 16) as usize).checked_sub(1).and_then(|place| Reason::ALL.get(place).copied());
        Self { status: code as u16, reason }
    }
}

/// Outcome (as its code; 0: free row) and count, in order of first use.
#[derive(Debug)]
struct Outcomes<const ROWS: usize>([(AtomicU64, Count); ROWS]);

impl<const ROWS: usize> Default for Outcomes<ROWS> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

impl<const ROWS: usize> Outcomes<ROWS> {
    fn count(&self, outcome: Outcome) {
        let wanted = outcome.code();
        let (last, usual) = self.0.split_last().expect("a table has rows");
        for (code, count) in usual {
            match code.load(Relaxed) {
                0 => code.store(wanted, Relaxed),
                known if known == wanted => {}
                _ => continue,
            }
            return count.add(1);
        }
        // One outcome too many for one label set: counted under the class of its status, as 500 for 507.
        let class = Outcome { status: outcome.status / 100 * 100, reason: None };
        last.0.store(class.code(), Relaxed);
        last.1.add(1);
    }

    fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let used = self.0.iter().map(|(code, count)| (code.load(Relaxed), count.get()));
        used.filter(|(code, count)| *code != 0 || *count != 0).map(|(code, count)| (Outcome::from_code(code), count))
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

/// Copies of one label set by what became of them.
#[derive(Debug, Default)]
pub(crate) struct MirrorCells([Count; mirror::Outcome::ALL.len()]);

impl MirrorCells {
    pub(crate) fn count(&self, outcome: mirror::Outcome) {
        self.0[outcome as usize].add(1);
    }

    /// In the order of [`mirror::Outcome::ALL`].
    pub(crate) fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(Count::get)
    }
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
