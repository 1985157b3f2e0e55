//! Bytes between two connections, with half-close: the end of one direction is passed on and the other goes on.
//!
//! Bytes are written from where they arrived: a decrypted record or a block a plaintext connection was read into. A connection at
//! rest holds none of either.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::io::{Intake, Stream};
use crate::metrics::cells::{Count, TcpCells};

/// Plaintext read at most at once: four full TLS records.
const BULK_BYTES: usize = 64 * 1024;

/// Joins caller and upstream until both directions have ended, or one side breaks.
pub(crate) async fn join(caller: Stream, upstream: Stream, cells: Arc<TcpCells>) -> io::Result<()> {
    let _open = OpenConnection::new(Arc::clone(&cells));
    relay(caller, upstream, &cells.sent_bytes, &cells.received_bytes).await
}

/// The same for a connection that is counted elsewhere: only its bytes, as they flow.
pub(crate) async fn relay(mut caller: Stream, mut upstream: Stream, sent: &Count, received: &Count) -> io::Result<()> {
    let (mut there, mut back) = (Flow::new(sent), Flow::new(received));
    poll_fn(|cx| {
        let there = there.poll(&mut caller, &mut upstream, cx)?;
        let back = back.poll(&mut upstream, &mut caller, cx)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One direction.
struct Flow<'a> {
    /// Counts bytes as they flow: a connection that lives for days is visible all the time.
    count: &'a Count,
    /// Bytes of a plaintext source.
    intake: Intake,
    stage: Stage,
}

/// How far a direction is.
#[derive(Clone, Copy)]
enum Stage {
    /// Bytes flow.
    Open,
    /// The source has ended; the sink is to be told.
    Ending,
    /// The sink was told.
    Over,
}

impl<'a> Flow<'a> {
    fn new(count: &'a Count) -> Self {
        Self { count, intake: Intake::new(BULK_BYTES), stage: Stage::Open }
    }

    /// Moves what can be moved; ready when the source's end was passed on.
    fn poll(&mut self, source: &mut Stream, sink: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stage {
                Stage::Open => ready!(self.poll_move(source, sink, cx))?,
                Stage::Ending => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                    self.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Moves bytes once. While the source is silent, the sink sends what it still holds.
    fn poll_move(&mut self, source: &mut Stream, sink: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Poll::Ready(bytes) = source.poll_fill(&mut self.intake, cx) else {
            return match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        };
        let bytes = bytes?;
        if bytes.is_empty() {
            self.stage = Stage::Ending;
            return Poll::Ready(Ok(()));
        }
        let count = ready!(Pin::new(sink).poll_write(cx, bytes))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        source.consume(&mut self.intake, count);
        self.count.add(count as u64);
        Poll::Ready(Ok(()))
    }
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

#[cfg(test)]
mod tests;
