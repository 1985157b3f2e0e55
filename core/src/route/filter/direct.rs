//! An answer that a rule gives itself.

use bytes::Bytes;

/// Longest body: every proxy that calls the host holds it.
pub const BODY_BYTES_MAX: usize = 128 * 1024;

/// Status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// A final status, from 200 to 599.
    pub status: u16,
    /// At most [`BODY_BYTES_MAX`]; empty where the status has none.
    pub body: Bytes,
}

/// Whether an answer of this status ends with its head (RFC 9110 §6.4.1).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..200 | 204 | 304)
}
