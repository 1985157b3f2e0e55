//! Open loop: requests are due on a fixed schedule, and latency runs from that moment, whatever holds a request back.
//!
//! Each connection is a thread that sleeps on a high-resolution timer until its next slot: three system calls a request, no event loop
//! whose tick would send in bursts. A target that cannot keep up leaves requests unsent, which the rate shows.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::http::Connection;
use super::{Latency, Seen, To, own_cpu_ns, say};
use crate::stats::percentile;

/// Time for all threads to connect before the first request is due.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long after the end late requests are still sent.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to do.
pub(super) struct Plan {
    pub(super) to: To,
    pub(super) rate: u32,
    pub(super) connections: u32,
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

/// When the requests of one connection are due, counted from the start.
#[derive(Debug, Clone, Copy)]
struct Slots {
    first: Duration,
    interval: Duration,
}

/// What one connection saw; times in nanoseconds, of the measured time only.
#[derive(Default)]
struct Tally {
    latency: Vec<u64>,
    lag: Vec<u64>,
    bytes: u64,
    errors: u64,
}

impl Plan {
    /// Slots of connection `index`: all connections together are evenly spaced.
    fn slots(&self, index: u32) -> Slots {
        let interval = Duration::from_secs_f64(f64::from(self.connections) / f64::from(self.rate));
        Slots { first: interval.mul_f64(f64::from(index) / f64::from(self.connections)), interval }
    }
}

impl Slots {
    /// When request number `count` is due.
    fn due(self, count: u32) -> Duration {
        // A product, not a sum: rounding must not add up.
        self.first + self.interval * count
    }
}

/// Runs to the end of the plan.
pub(super) fn run(plan: &Plan) -> Result<Seen> {
    let start = Instant::now() + HEAD_START;
    let (begin, end) = (start + plan.warm_up, start + plan.warm_up + plan.measured);
    let mut cpu_ns = 0;
    let tallies: Vec<Result<Tally>> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..plan.connections).map(|index| scope.spawn(move || connection(plan, index, start))).collect();
        for (moment, word) in [(begin, "begin"), (end, "end")] {
            thread::sleep(moment.saturating_duration_since(Instant::now()));
            say(word)?;
            cpu_ns = own_cpu_ns() - cpu_ns;
        }
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a load thread panicked"))?);
        Ok::<_, anyhow::Error>(joined.collect())
    })?;
    let mut total = Tally::default();
    for tally in tallies {
        let tally = tally.context("a connection of the load generator")?;
        total.latency.extend(tally.latency);
        total.lag.extend(tally.lag);
        total.bytes += tally.bytes;
        total.errors += tally.errors;
    }
    Ok(Seen {
        requests: total.latency.len() as u64,
        errors: total.errors,
        seconds: plan.measured.as_secs_f64(),
        cpu_ns,
        bytes: total.bytes,
        latency: latency(total.latency, total.lag),
        closed: None,
    })
}

fn connection(plan: &Plan, index: u32, start: Instant) -> Result<Tally> {
    let (slots, begin) = (plan.slots(index), plan.warm_up);
    let end = plan.warm_up + plan.measured;
    let mut tally = Tally::default();
    let mut connection = Connection::open(&plan.to)?;
    for count in 0.. {
        let due = slots.due(count);
        if due >= end || start.elapsed() > end + PATIENCE {
            break;
        }
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        let sent = start.elapsed();
        match connection.get() {
            Ok(bytes) if due >= begin => {
                tally.latency.push(nanoseconds(start.elapsed() - due));
                tally.lag.push(nanoseconds(sent - due));
                tally.bytes += bytes;
            }
            Ok(_) => {}
            Err(_) => {
                tally.errors += 1;
                connection.reopen()?;
            }
        }
    }
    Ok(tally)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn latency(mut latency: Vec<u64>, mut lag: Vec<u64>) -> Option<Latency> {
    latency.sort_unstable();
    lag.sort_unstable();
    let micros = |sorted: &[u64], q| percentile(sorted, q).map(|ns| ns as f64 / 1e3);
    Some(Latency {
        p50: micros(&latency, 0.5)?,
        p90: micros(&latency, 0.9)?,
        p99: micros(&latency, 0.99)?,
        p999: micros(&latency, 0.999)?,
        lag_p50: micros(&lag, 0.5)?,
        lag_p99: micros(&lag, 0.99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_all_connections_are_evenly_spaced_and_do_not_drift() {
        let to = To { address: ([127, 0, 0, 1], 80).into(), path: "/".into() };
        let second = Duration::from_secs(1);
        let plan = Plan { to, rate: 4000, connections: 32, warm_up: second, measured: second };
        let mut due: Vec<Duration> = (0..32)
            .flat_map(|index| (0..125).map(move |count| (index, count)))
            .map(|(i, c)| plan.slots(i).due(c))
            .collect();
        due.sort();
        assert_eq!(due.len(), 4000);
        for (at, due) in due.iter().enumerate() {
            let ideal = Duration::from_micros(250) * u32::try_from(at).expect("small");
            assert!(due.abs_diff(ideal) < Duration::from_micros(1), "{at}: {due:?}");
        }
    }
}
