//! HTTP/2 frames of our own making, rules or no rules (RFC 9113 §4, §6), and a reader of what comes back.

use std::io::{self, Read};

/// What a client begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub const DATA: u8 = 0;
/// See [`DATA`].
pub const HEADERS: u8 = 1;
/// See [`DATA`].
pub const PRIORITY: u8 = 2;
/// See [`DATA`].
pub const RST_STREAM: u8 = 3;
/// See [`DATA`].
pub const SETTINGS: u8 = 4;
/// See [`DATA`].
pub const PING: u8 = 6;
/// See [`DATA`].
pub const GOAWAY: u8 = 7;
/// See [`DATA`].
pub const WINDOW_UPDATE: u8 = 8;
/// See [`DATA`].
pub const CONTINUATION: u8 = 9;

/// Flag of the last frame of a stream; of an answer to PING and SETTINGS.
pub const END_STREAM: u8 = 1;
/// See [`END_STREAM`].
pub const ACK: u8 = 1;
/// Flag of the last frame of a header block.
pub const END_HEADERS: u8 = 4;

/// Error codes (RFC 9113 §7).
pub const PROTOCOL_ERROR: u32 = 1;
/// See [`PROTOCOL_ERROR`].
pub const CANCEL: u32 = 8;
/// See [`PROTOCOL_ERROR`].
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame with any type, flags and payload.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of tests are short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SETTINGS with these parameters.
pub fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let pairs = parameters.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &pairs.collect::<Vec<_>>())
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A field, neither indexed nor Huffman-coded (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, 7, 0, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// An integer with a prefix of `bits` bits (RFC 7541 §5.1).
pub fn integer(bytes: &mut Vec<u8>, bits: u8, first: u8, value: usize) {
    let limit = (1 << bits) - 1;
    if value < limit {
        return bytes.push(first | u8::try_from(value).expect("below the limit"));
    }
    bytes.push(first | u8::try_from(limit).expect("at most eight bits"));
    let mut rest = value - limit;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("seven bits") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
}

/// A header block of fields.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// A header block of 16 KiB that says a thousand times as much: after `fields` one of 4,000 bytes for the table, and then a byte for each
/// time it is repeated (RFC 7541 §6.1).
pub fn bomb(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = block(fields);
    bytes.push(0x40); // into the table
    integer(&mut bytes, 7, 0, 1);
    bytes.push(b'x');
    integer(&mut bytes, 7, 0, 4000);
    bytes.extend([b'y'; 4000]);
    bytes.resize(16 * 1024, NEWEST);
    bytes
}

/// The newest entry of the table, as a field.
pub const NEWEST: u8 = 0x80 | 62;

/// The fields of a request.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "web"), (":path", path)]
}

/// HEADERS that are complete.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A frame that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        self.payload.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
    }
}

/// Cuts what is received into frames.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Reads until `wanted` has come; `None` when the connection ends before.
    ///
    /// # Errors
    /// The connection's, a time-out among them.
    pub fn until(&mut self, from: &mut impl Read, mut wanted: impl FnMut(&Frame) -> bool) -> io::Result<Option<Frame>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            for frame in self.by_ref() {
                if wanted(&frame) {
                    return Ok(Some(frame));
                }
            }
            match from.read(&mut chunk)? {
                0 => return Ok(None),
                count => self.push(&chunk[..count]),
            }
        }
    }
}

/// Whole frames.
impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let &[a, b, c, kind, flags, d, e, f, g] = self.bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let payload = self.bytes.get(9..9 + length)?.to_vec();
        self.bytes.drain(..9 + length);
        Some(Frame { kind, flags, stream: u32::from_be_bytes([d, e, f, g]) & (u32::MAX >> 1), payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_written_and_read_as_the_rfc_lays_them_out() {
        let bytes = [window_update(3, 5), reset(1, CANCEL)].concat();
        assert_eq!(bytes[..13], [0, 0, 4, 8, 0, 0, 0, 0, 3, 0, 0, 0, 5]);
        let mut frames = Frames::default();
        frames.push(&bytes[..20]);
        assert_eq!(frames.next().map(|frame| (frame.kind, frame.stream)), Some((WINDOW_UPDATE, 3)));
        assert_eq!(frames.next(), None);
        frames.push(&bytes[20..]);
        assert_eq!(frames.next().and_then(|frame| frame.code()), Some(CANCEL));
    }

    #[test]
    fn integers_are_those_of_rfc_7541_c1() {
        let coded = |bits, value| {
            let mut bytes = Vec::new();
            integer(&mut bytes, bits, 0, value);
            bytes
        };
        assert_eq!((coded(5, 10), coded(5, 1337), coded(8, 42)), (vec![10], vec![31, 154, 10], vec![42]));
    }
}
