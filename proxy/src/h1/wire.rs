//! A connection with what was read of it and not used yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffer::{BULK, Buffer};
use crate::io::Stream;

/// Asked of the first read: nearly every head with its body, and a block that is cheap to hold while a request is under way.
const ROOM_FIRST: usize = 4 * 1024;
/// Less room than this behind unused bytes is made larger before a read.
const ROOM_MIN: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    /// Read and not used.
    pub(crate) input: Buffer,
    /// Front of `input` in which no head ends, so that a head in a thousand pieces is not read a thousand times.
    searched: usize,
    /// Asked of the next read. Grows while reads come back full, so that bulk needs few of them.
    room: usize,
    /// Whether the peer has finished sending.
    ended: bool,
}

impl Wire {
    /// A connection of which nothing was read.
    pub(crate) const fn new(stream: Stream) -> Self {
        Self { stream, input: Buffer::new(), searched: 0, room: ROOM_FIRST, ended: false }
    }

    /// Reads once, as much as there is room for. 0: the peer has finished sending. Without bytes it holds no block.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let room = if self.input.is_empty() { self.room } else { ROOM_MIN };
        let space = self.input.space(room);
        let asked = space.len();
        let mut read = ReadBuf::new(space);
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut read);
        let count = read.filled().len();
        match polled {
            Poll::Ready(Ok(())) => {
                self.input.advance(count);
                self.ended = count == 0;
                if count == asked {
                    self.room = (asked * 4).min(BULK);
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.input.release();
                Poll::Pending
            }
        }
    }

    /// Whether the input may hold a whole head which it did not hold when this was last asked: heads end with a line feed.
    pub(super) fn may_hold_head(&mut self) -> bool {
        let searched = std::mem::replace(&mut self.searched, self.input.len());
        self.input.filled()[searched..].contains(&b'\n')
    }

    /// Takes a head of so many bytes from the input.
    pub(super) fn take_head(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.searched = 0;
    }

    /// Writes both slices as one, as far as the peer takes them.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match (first, second) {
            (first, []) => stream.poll_write(cx, first),
            ([], second) => stream.poll_write(cx, second),
            (first, second) => stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]),
        };
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => written,
        }
    }

    /// Brings what was written on its way.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Whether an idle connection is of no more use: its peer closed it, or sent what nobody asked for. Asks the kernel only when
    /// something happened on it.
    pub(crate) fn is_spent(&mut self) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        // First without the blocks that a read takes.
        !self.stream.is_quiet() && self.poll_fill(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Whether it is a share of a common connection.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.stream, Stream::Mux(_))
    }

    /// Goes back to small reads, and holds no memory while idle.
    pub(crate) fn rest(&mut self) {
        self.room = ROOM_FIRST;
        self.input.release();
    }
}
