//! Ids of traces and spans: never all zeros, worded in lower-case hexadecimal digits.

use std::fmt;

/// Id of a trace, 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span, 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// From two uniform draws.
    pub fn drawn(high: u64, low: u64) -> TraceId {
        // An id of zeros is none; a single value more for one other id changes nothing that can be measured.
        TraceId((u128::from(high) << 64 | u128::from(low.max(1))).to_be_bytes())
    }

    /// From exactly 32 digits that are not all zeros.
    pub(super) fn parse(digits: &[u8]) -> Option<TraceId> {
        hex(digits).filter(|bytes| *bytes != [0; 16]).map(TraceId)
    }

    /// From 16 digits, as old B3 has them: the lower half.
    pub(super) fn parse_short(digits: &[u8]) -> Option<TraceId> {
        let low: [u8; 8] = hex(digits).filter(|bytes| *bytes != [0; 8])?;
        Some(TraceId(u128::from(u64::from_be_bytes(low)).to_be_bytes()))
    }

    /// The bytes, first digit first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// From a uniform draw.
    pub fn drawn(draw: u64) -> SpanId {
        SpanId(draw.max(1).to_be_bytes())
    }

    /// From exactly 16 digits that are not all zeros.
    pub(super) fn parse(digits: &[u8]) -> Option<SpanId> {
        hex(digits).filter(|bytes| *bytes != [0; 8]).map(SpanId)
    }

    /// The bytes, first digit first.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes from exactly twice as many lower-case digits.
pub(super) fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Writes bytes as digits, twice as many.
pub(super) fn digits(bytes: &[u8], to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(to.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}
