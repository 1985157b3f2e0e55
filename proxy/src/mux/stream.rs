//! One connection on a shared connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Link;
use super::table::Read;

/// See the module. Dropping it before both directions have ended resets it.
pub(crate) struct MuxStream {
    link: Rc<Link>,
    id: u32,
}

impl MuxStream {
    pub(super) fn new(link: Rc<Link>, id: u32) -> Self {
        Self { link, id }
    }
}

impl MuxStream {
    /// Whether a read would find nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.link.table.borrow().is_quiet(self.id)
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.link.table.borrow_mut().read(self.id, buf.initialize_unfilled(), cx)?;
        match read {
            Read::Bytes(count) => buf.advance(count),
            Read::End => {}
            Read::Nothing => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.link.table.borrow_mut().write(self.id, bufs, cx)?;
        let due = self.link.table.borrow().is_due();
        if let Some(driver) = due {
            // An error is the driver's to find: it was woken by what was written.
            let _ = self.link.send(&mut Context::from_waker(&driver));
        }
        written.map_or(Poll::Pending, |count| Poll::Ready(Ok(count)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was written leaves by itself, when this thread has run all that is ready.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.table.borrow_mut().end(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.link.table.borrow_mut().close(self.id);
    }
}

impl fmt::Debug for MuxStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxStream").field("id", &self.id).finish_non_exhaustive()
    }
}
