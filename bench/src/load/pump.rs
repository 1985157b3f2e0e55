//! Bulk: large answers one after the other on one connection, in bytes a second.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::http::Connection;
use super::{Seen, To, own_cpu_ns, say};

/// Fetches until `measured` is over; the answer that is then on its way is finished and counted.
pub(super) fn run(to: &To, measured: Duration) -> Result<Seen> {
    let mut connection = Connection::open(to)?;
    connection.get()?; // buffers and windows are grown
    say("begin")?;
    let (start, cpu_ns) = (Instant::now(), own_cpu_ns());
    let mut seen = Seen::default();
    while start.elapsed() < measured {
        seen.bytes += connection.get()?;
        seen.requests += 1;
    }
    seen.cpu_ns = own_cpu_ns() - cpu_ns;
    seen.seconds = start.elapsed().as_secs_f64();
    say("end")?;
    Ok(seen)
}
