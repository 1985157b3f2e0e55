//! Bytes between two connections, with half-close: the end of one direction is passed on and the other goes on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::Stream;
use crate::metrics::cells::TcpCells;

/// Bytes read at once in each direction: one TLS record.
const BUFFER_BYTES: usize = 16 * 1024;

/// Joins caller and upstream until both directions have ended, or one side breaks.
pub(crate) async fn join(caller: Stream, upstream: Stream, cells: Arc<TcpCells>) -> io::Result<()> {
    let _open = OpenConnection::new(Arc::clone(&cells));
    let mut caller = Counted { inner: caller, cells };
    let mut upstream = upstream;
    tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

/// Counts a connection while it is open.
struct OpenConnection(Arc<TcpCells>);

impl OpenConnection {
    fn new(cells: Arc<TcpCells>) -> Self {
        cells.opened.add(1);
        cells.open.add(1);
        Self(cells)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.add(-1);
    }
}

/// The caller's side, counting both directions as they flow: a connection that lives for days is visible all the time.
struct Counted {
    inner: Stream,
    cells: Arc<TcpCells>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.cells.sent_bytes.add((buf.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.cells.received_bytes.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
