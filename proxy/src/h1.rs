//! THE HTTP/1 PATH of both sides: one task a connection, one buffer a direction, no wake-up between reading and writing.
//!
//! ```text
//! caller ── head ─▶ judge, decide ─▶ one write ─▶ upstream
//! caller ◀─ one write ── head and body as they were read ── upstream
//! ```
//! A connection in the pool is a socket and nothing else: no task watches it. Heads are read in place and written anew in canonical
//! form; bodies of known length pass from the read to the write without a copy of ours.
//!
//! What differs between the sides is a [`Role`]: whether and where a request goes.

mod attempt;
mod body;
mod chunked;
mod connection;
mod fields;
mod head;
mod relay;
mod wire;
mod write;

pub(crate) use attempt::{AttemptError, Exchange};
pub(crate) use connection::{Forwarding, Lease, Role, serve};
pub(crate) use wire::Wire;

/// A message that is refused: the rule it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadMessage(pub(crate) &'static str);
