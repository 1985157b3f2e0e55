//! Many HTTP/1 connections between two proxies on one TLS connection, so that requests of many callers share records and system calls.
//!
//! Each carries the same bytes it would carry on a socket of its own; only the transport below [`Stream`](crate::io::Stream) differs.
//! What waits to be sent when the thread has run all that was ready leaves as one record: under load that is what saves the kernel's
//! share of a request, which is most of what a request costs.
//!
//! The side that dialled opens connections by sending on the next number; there is no round trip. Each direction ends by itself. What a
//! reader did not take yet is bounded by credit ([`table`]), so one that stalls holds up nobody else. A side that leaves says so, still
//! takes what is under way, and the connection closes when the other side has agreed and nothing is open: no request is lost by it.

mod driver;
mod frame;
#[cfg(feature = "parsers")]
pub(crate) mod parsers;
mod stream;
mod table;
#[cfg(test)]
pub(crate) mod testing;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use driver::Driver;
pub(crate) use stream::MuxStream;
use table::{Side, Table};
use tokio::io::AsyncWrite;

use crate::drain::Drain;
use crate::tls::TlsStream;

/// Connections one shared connection carries before the dialling side opens another one. Fewer share worse; more would queue behind one
/// congestion window, and on one thread of the other proxy.
pub(crate) const STREAMS: usize = 32;

/// What the driver and the streams work on: they belong to one thread, and none keeps a part borrowed beyond a call.
#[derive(Debug)]
struct Link {
    table: RefCell<Table>,
    stream: RefCell<Box<TlsStream>>,
}

/// The dialling side's handle. Dropping it ends the connection once nothing is open on it.
#[derive(Debug)]
pub(crate) struct Opener(Rc<Link>);

impl Opener {
    /// Takes over a connection whose peer expects frames.
    pub(crate) fn start(stream: Box<TlsStream>) -> Self {
        let link = Link::new(Side::Opener, stream);
        let mut driver = Driver::new(Rc::clone(&link));
        tokio::task::spawn_local(async move {
            let ended = poll_fn(|cx| driver.poll(cx, &mut |_| ())).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a shared connection broke");
            }
        });
        Self(link)
    }

    /// One more connection on it; `None` when it is full, or about to end.
    pub(crate) fn open(&self) -> Option<MuxStream> {
        let id = self.0.table.borrow_mut().open(STREAMS)?;
        Some(MuxStream::new(Rc::clone(&self.0), id))
    }

    /// Whether nothing can be opened on it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.table.borrow().is_leaving()
    }

    /// Connections open on it.
    pub(crate) fn open_streams(&self) -> usize {
        self.0.table.borrow().open_streams()
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.0.table.borrow_mut().leave();
    }
}

/// Serves the other side: hands each connection the peer opens to `accept`. Leaves when `drain` says so; a peer that does not agree is
/// not waited for longer than a silent connection would be.
///
/// # Errors
/// That of the connection, or `InvalidData` when the peer broke the protocol; all connections on it have failed then.
pub(crate) async fn serve(stream: Box<TlsStream>, drain: &Drain, mut accept: impl FnMut(MuxStream)) -> io::Result<()> {
    let link = Link::new(Side::Acceptor, stream);
    let mut driver = Driver::new(Rc::clone(&link));
    let (mut started, mut silent) = (pin!(drain.started()), pin!(drain.silence_over()));
    let mut stage = Stage::Open;
    poll_fn(|cx| {
        // The futures are asked only as long as they were not ready: each ends one stage.
        if stage == Stage::Open && started.as_mut().poll(cx).is_ready() {
            stage = Stage::Leaving;
            link.table.borrow_mut().leave();
        }
        if stage == Stage::Leaving && silent.as_mut().poll(cx).is_ready() {
            stage = Stage::Over;
        }
        match driver.poll(cx, &mut accept) {
            Poll::Pending if stage == Stage::Over && link.table.borrow().open_streams() == 0 => Poll::Ready(Ok(())),
            polled => polled,
        }
    })
    .await
}

impl Link {
    fn new(side: Side, stream: Box<TlsStream>) -> Rc<Self> {
        Rc::new(Self { table: RefCell::new(Table::new(side)), stream: RefCell::new(stream) })
    }

    /// Sends what there is, as far as the peer takes it; `cx` is the driver's.
    fn send(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let (mut table, mut stream) = (self.table.borrow_mut(), self.stream.borrow_mut());
        let mut stream = Pin::new(&mut **stream);
        while !table.outgoing.is_empty() {
            match stream.as_mut().poll_write(cx, table.outgoing.filled()) {
                Poll::Ready(Ok(count)) => table.sent(count),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        match stream.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

/// How far the accepting side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Serving.
    Open,
    /// It said that it leaves.
    Leaving,
    /// It ends as soon as nothing is open.
    Over,
}

#[cfg(test)]
mod tests;
