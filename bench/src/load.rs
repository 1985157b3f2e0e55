//! The load generator, a program of its own (`cargo xtask bench-load …`) that the bench starts where the application would be.
//!
//! It prints `begin` when the measured time starts and `end` when it is over, so that others can read their counters at these
//! moments, and then one line of JSON.

mod hold;
mod http;
mod pump;
mod rate;
pub(crate) mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What to send.
#[derive(Debug, clap::Subcommand)]
pub enum Load {
    /// Requests at a fixed rate, whether answers come or not
    Rate {
        /// Where to
        #[command(flatten)]
        to: To,
        /// Requests a second
        #[arg(long)]
        rate: u32,
        /// Connections they are spread over
        #[arg(long, default_value_t = 32)]
        connections: u32,
        /// Seconds before the measured time
        #[arg(long, default_value_t = 1.0)]
        warm_up: f64,
        /// Seconds measured
        #[arg(long)]
        seconds: f64,
    },
    /// One answer after the other on one connection, as fast as they come
    Pump {
        /// Where to
        #[command(flatten)]
        to: To,
        /// Seconds measured
        #[arg(long)]
        seconds: f64,
    },
    /// Serve streams of small messages over HTTP/2 without TLS
    Stream {
        /// Where to listen
        address: SocketAddr,
    },
    /// Open connections, make one request on each, and keep them until standard input ends
    Hold {
        /// Where to
        #[command(flatten)]
        to: To,
        /// How many
        #[arg(long)]
        connections: u32,
    },
}

/// Where to.
#[derive(Debug, Clone, clap::Args)]
pub struct To {
    /// Address and port
    address: SocketAddr,
    /// Path
    #[arg(long, default_value = "/")]
    path: String,
}

/// What was seen. Times in microseconds; they are absent where they were not taken.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Answers within the measured time.
    pub(crate) requests: u64,
    /// Requests without a right answer, at any time.
    pub(crate) errors: u64,
    /// The measured time.
    pub(crate) seconds: f64,
    /// CPU time this program used in it, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Bytes of bodies within it.
    pub(crate) bytes: u64,
    /// From due to answered, and how late requests were sent.
    pub(crate) latency: Option<Latency>,
    /// Of a closed loop: 50, 90 and 99 % of the times from sent to answered, in microseconds.
    pub(crate) closed: Option<[f64; 3]>,
}

/// Percentiles in microseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// The generator's own lateness, 50 %.
    pub(crate) lag_p50: f64,
    /// The generator's own lateness, 99 %.
    pub(crate) lag_p99: f64,
}

/// Generates the load.
pub fn run(load: &Load) -> Result<()> {
    // The default slack of timers, 50 µs, would be measured as latency. Threads inherit the setting.
    std::fs::write("/proc/self/timerslack_ns", "1").context("cannot set the slack of timers")?;
    let seen = match load {
        Load::Rate { to, rate, connections, warm_up, seconds } => rate::run(&rate::Plan {
            to: to.clone(),
            rate: *rate,
            connections: *connections,
            warm_up: Duration::from_secs_f64(*warm_up),
            measured: Duration::from_secs_f64(*seconds),
        })?,
        Load::Pump { to, seconds } => pump::run(to, Duration::from_secs_f64(*seconds))?,
        Load::Stream { address } => return stream::serve(*address),
        Load::Hold { to, connections } => hold::run(to, *connections)?,
    };
    say(&serde_json::to_string(&seen)?)
}

/// CPU time of this process so far, threads that have ended included, in nanoseconds.
fn own_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A line for whoever started us. Standard output is flushed: it is a pipe.
fn say(line: &str) -> Result<()> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("nobody reads our output")
}
