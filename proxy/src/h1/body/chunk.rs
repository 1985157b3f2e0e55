//! A chunk that is being written. Data that comes together goes on as one chunk: a sender of tiny chunks makes no receiver of them.

use std::io::Write;

use crate::buffer::Buffer;

/// Room for the longest head: 16 digits and a line end.
const HEAD_MAX: usize = 18;

/// See the module. Places are counted from the first byte of the buffer it is written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    head: usize,
    data: usize,
    /// What its head says.
    said: usize,
}

impl Chunk {
    /// Begins a chunk that has `length` bytes of data, if no more come with them.
    pub(super) fn begin(out: &mut Buffer, length: usize) -> Chunk {
        let head = out.len();
        let (text, count) = head_of(length);
        out.extend(&text[..count]);
        Chunk { head, data: out.len(), said: length }
    }

    /// Ends it. If more data came than its head says, the head is written anew, and the data moves by the digits this needs.
    pub(super) fn end(self, out: &mut Buffer) {
        let length = out.len() - self.data;
        if length != self.said {
            let (text, count) = head_of(length);
            let moved = self.head + count;
            out.extend(&[0; HEAD_MAX][..moved - self.data]);
            let bytes = out.filled_mut();
            bytes.copy_within(self.data..self.data + length, moved);
            bytes[self.head..moved].copy_from_slice(&text[..count]);
        }
        out.extend(b"\r\n");
    }
}

/// The line that begins a chunk (RFC 9112 §7.1), and its length.
fn head_of(length: usize) -> ([u8; HEAD_MAX], usize) {
    let mut text = [0; HEAD_MAX];
    let mut room = &mut text[..];
    let _ = write!(room, "{length:x}\r\n"); // it fits
    let count = HEAD_MAX - room.len();
    (text, count)
}
