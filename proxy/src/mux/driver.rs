//! Moves frames between the table and the TLS connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::AsyncWrite;

use super::frame::{self, Frame, HEADER_BYTES};
use super::table::Table;
use super::{Link, MuxStream};

/// Reads in a row before others have their turn.
const READS_MAX: usize = 8;

/// See the module.
pub(super) struct Driver {
    link: Rc<Link>,
    parser: Parser,
}

impl Driver {
    pub(super) fn new(link: Rc<Link>) -> Self {
        Self { link, parser: Parser::default() }
    }

    /// Ready when the connection is over.
    ///
    /// # Errors
    /// That of the connection; all connections on it have failed then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, accept: &mut dyn FnMut(MuxStream)) -> Poll<io::Result<()>> {
        self.link.table.borrow_mut().driven_by(cx);
        let ended = ready!(self.poll_move(cx, accept));
        let kind = ended.as_ref().map_or_else(io::Error::kind, |()| io::ErrorKind::UnexpectedEof);
        self.link.table.borrow_mut().fail(kind);
        Poll::Ready(ended)
    }

    fn poll_move(&mut self, cx: &mut Context<'_>, accept: &mut dyn FnMut(MuxStream)) -> Poll<io::Result<()>> {
        let clogged = self.link.table.borrow().is_clogged();
        let read = self.poll_read(cx, accept)?;
        self.link.send(cx)?;
        if read.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if clogged && !self.link.table.borrow().is_clogged() {
            cx.waker().wake_by_ref();
        }
        if self.link.table.borrow().is_over() {
            return Pin::new(&mut **self.link.stream.borrow_mut()).poll_shutdown(cx);
        }
        Poll::Pending
    }

    /// Reads what there is. Ready when the peer has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>, accept: &mut dyn FnMut(MuxStream)) -> Poll<io::Result<()>> {
        for _ in 0..READS_MAX {
            if self.link.table.borrow().is_clogged() {
                return Poll::Pending; // until the peer reads, which wakes us
            }
            let mut stream = self.link.stream.borrow_mut();
            let bytes = ready!(stream.poll_fill(cx))?;
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut opened = SmallVec::<[u32; 16]>::new();
            let parsed = self.parser.take(bytes, &mut self.link.table.borrow_mut(), &mut opened);
            let count = bytes.len();
            stream.consume(count);
            drop(stream);
            for id in opened {
                accept(MuxStream::new(Rc::clone(&self.link), id));
            }
            parsed?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What is known of a frame of which not all has arrived.
#[derive(Default)]
pub(super) struct Parser {
    header: SmallVec<[u8; HEADER_BYTES]>,
    /// The connection whose data is arriving, and how much of it is to come.
    expected: (u32, usize),
}

impl Parser {
    /// Brings bytes of the peer into the table; `opened` gets the connections they open.
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        table: &mut Table,
        opened: &mut SmallVec<[u32; 16]>,
    ) -> io::Result<()> {
        loop {
            let (id, expected) = self.expected;
            if expected > 0 {
                let (data, rest) = bytes.split_at(expected.min(bytes.len()));
                table.deliver(id, data);
                self.expected.1 -= data.len();
                bytes = rest;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let missing = (HEADER_BYTES - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let Ok(header) = <[u8; HEADER_BYTES]>::try_from(&self.header[..]) else { return Ok(()) };
            self.header.clear();
            let (id, frame) = frame::decode(header)?;
            if table.received(id, frame)? {
                opened.push(id);
            }
            if let Frame::Data(length) = frame {
                self.expected = (id, length);
            }
        }
    }
}
