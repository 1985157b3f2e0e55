//! Frames: a header of eight bytes, and with data its bytes. Lengths and numbers are big-endian.
//!
//! ```text
//! number of the connection (32)  kind (8)  length or credit (24)
//! ```

use std::io;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 8;
/// Most bytes of data in a frame: with its header it fills a TLS record (RFC 8446 §5.1).
pub(super) const DATA_BYTES_MAX: usize = 16 * 1024 - HEADER_BYTES;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// This many bytes of the connection follow. The first one opens it; numbers only grow.
    Data(usize),
    /// Nothing more will be sent on the connection.
    End,
    /// The connection is over in both directions.
    Reset,
    /// The connection was never taken: nothing that was sent on it was read. To who does not know the difference, a reset.
    Refuse,
    /// The reader has taken bytes: this many more may be sent.
    Credit(u32),
    /// The sender takes, or opens, no further connections.
    Leave,
}

/// Writes the header of a frame of connection `id`.
pub(super) fn encode(id: u32, frame: Frame) -> [u8; HEADER_BYTES] {
    let (kind, value) = match frame {
        Frame::Data(length) => (0, u32::try_from(length).unwrap_or(u32::MAX)),
        Frame::End => (1, 0),
        Frame::Reset => (2, 0),
        Frame::Refuse => (2, 1),
        Frame::Credit(credit) => (3, credit),
        Frame::Leave => (4, 0),
    };
    debug_assert!(value < 1 << 24, "{value} does not fit a frame");
    let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
    [id[0], id[1], id[2], id[3], kind, value[1], value[2], value[3]]
}

/// Reads a header.
///
/// # Errors
/// `InvalidData` for a kind nobody knows, or more data than a frame may have.
pub(super) fn decode(header: [u8; HEADER_BYTES]) -> io::Result<(u32, Frame)> {
    let id = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let value = u32::from_be_bytes([0, header[5], header[6], header[7]]);
    let frame = match header[4] {
        0 if value as usize <= DATA_BYTES_MAX => Frame::Data(value as usize),
        0 => return Err(violation("a frame is longer than a record")),
        1 => Frame::End,
        2 if value == 1 => Frame::Refuse,
        2 => Frame::Reset,
        3 => Frame::Credit(value),
        4 => Frame::Leave,
        _ => return Err(violation("a frame is of no known kind")),
    };
    Ok((id, frame))
}

/// The peer broke the protocol.
pub(super) fn violation(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
