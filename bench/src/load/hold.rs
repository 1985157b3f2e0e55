//! Connections that have been used once and then rest, as those of a client with a large pool.

use std::io::Read;

use anyhow::{Context, Result};

use super::http::Connection;
use super::{Seen, To, say};

/// A head and a small body.
const BUFFER_BYTES: usize = 4096;

/// Opens `connections`, and holds them until standard input ends.
pub(super) fn run(to: &To, connections: u32) -> Result<Seen> {
    let mut open = Vec::new();
    for number in 0..connections {
        let mut connection =
            Connection::with_buffer(to, BUFFER_BYTES).with_context(|| format!("connection {number}"))?;
        connection.get().with_context(|| format!("the request of connection {number}"))?;
        open.push(connection);
    }
    say("begin")?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("cannot wait")?;
    say("end")?;
    Ok(Seen { requests: open.len() as u64, ..Seen::default() })
}
