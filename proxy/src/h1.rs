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
mod copy;
mod fields;
mod head;
mod idle;
#[cfg(feature = "parsers")]
pub(crate) mod parsers;
mod relay;
mod request;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod wire;
mod write;

pub(crate) use attempt::{AttemptError, Exchange};
pub(crate) use connection::{Forwarding, Lease, Role, serve};
pub(crate) use copy::Copy;
pub(crate) use fields::is_trailer;
pub(crate) use head::has_small_letters;
pub(crate) use wire::Wire;

use tulle_core::codes::Reason;

/// A message that is refused: the rule it broke, and how the caller hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub(crate) struct BadMessage {
    pub(crate) rule: &'static str,
    pub(crate) reason: Reason,
}

impl BadMessage {
    /// Ambiguous or malformed.
    const fn new(rule: &'static str) -> Self {
        Self { rule, reason: Reason::BadRequest }
    }

    /// A head beyond a bound.
    const fn too_large(rule: &'static str) -> Self {
        Self { rule, reason: Reason::HeadTooLarge }
    }

    /// A head that was begun and not finished.
    const fn late() -> Self {
        Self { rule: "the head of the request did not arrive in time", reason: Reason::HeadTimeout }
    }
}
