//! Reads into pooled blocks, as much at once as is useful: a record while traffic is light, four once a read came back full.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::buffer::{Buffer, RECORD};

/// Bytes that arrived and were not used yet. Holds no memory while there are none.
#[derive(Debug)]
pub(crate) struct Intake {
    /// The bytes.
    pub(crate) bytes: Buffer,
    /// What a read in bulk fills the buffer to.
    bulk_bytes: usize,
    /// Whether the last read found more than light traffic would bring.
    bulk: bool,
}

impl Intake {
    /// An empty one that in bulk is filled up to `bulk_bytes`, at most [`LARGEST`](crate::buffer::LARGEST).
    pub(crate) const fn new(bulk_bytes: usize) -> Self {
        Self { bytes: Buffer::new(), bulk_bytes, bulk: false }
    }

    /// Reads once and appends; 0 is the end. Bytes that already fill the buffer are those of a message larger than a record; a further
    /// record is then read behind them.
    ///
    /// A read that returned less than it asked for has emptied the socket: tokio then takes its readiness away, and the next
    /// call costs no system call.
    pub(crate) fn poll_read<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (held, full) = (self.bytes.len(), if self.bulk { self.bulk_bytes } else { RECORD });
        let room = if held < full { full - held } else { RECORD };
        let mut space = ReadBuf::new(&mut self.bytes.space(room)[..room]);
        let outcome = Pin::new(io).poll_read(cx, &mut space);
        let count = space.filled().len();
        self.bytes.advance(count);
        if count == 0 {
            self.bytes.release();
        }
        ready!(outcome)?;
        self.bulk = count == room || (self.bulk && count >= RECORD);
        Poll::Ready(Ok(count))
    }

    /// Removes `count` bytes from the front; the last one gives the block back.
    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.consume(count);
        self.bytes.release();
    }
}
