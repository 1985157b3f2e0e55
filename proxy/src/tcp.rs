//! Bytes between two connections, with half-close: the end of one direction is passed on and the other goes on.
//!
//! Bytes are written from where they arrived: a decrypted record or a block a plaintext connection was read into. A connection at
//! rest holds none of either.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::AsyncWrite;
use tulle_core::codes::Reason;

use crate::access_log::Line;
use crate::buffer::BULK;
use crate::io::{Intake, Stream};
use crate::metrics::cells::{Count, TcpCells};

/// Joins caller and upstream until both directions have ended, or one side breaks, which is its peers' business and no error of the mesh.
/// `line` is written then.
pub(crate) async fn join(mut caller: Stream, mut upstream: Stream, cells: Arc<TcpCells>, line: Option<Box<Line>>) {
    let opened = Instant::now();
    let _open = OpenConnection::new(Arc::clone(&cells));
    let Relayed { bytes, broken } = relay(&mut caller, &mut upstream, &cells.sent_bytes, &cells.received_bytes).await;
    if let Some(mut line) = line {
        if let Some((reason, _)) = &broken {
            line.failed(*reason, reason.code(), None);
        }
        line.write(opened.elapsed(), bytes);
    }
    if let Some((reason, error)) = broken {
        tracing::debug!(reason = reason.as_str(), %error, "a connection of bytes broke off");
    }
}

/// What became of two joined connections.
#[derive(Debug)]
pub(crate) struct Relayed {
    /// Bytes from caller to upstream, and back.
    pub(crate) bytes: (u64, u64),
    /// How one side broke, if it did.
    pub(crate) broken: Option<Broken>,
}

/// Who broke off, and how.
type Broken = (Reason, io::Error);

/// The same for a connection that is counted elsewhere: only its bytes, as they flow.
pub(crate) async fn relay(caller: &mut Stream, upstream: &mut Stream, sent: &Count, received: &Count) -> Relayed {
    const CALLER: Reason = Reason::CallerGone;
    const UPSTREAM: Reason = Reason::UpstreamReset;
    let (mut there, mut back) = (Flow::new(sent, [CALLER, UPSTREAM]), Flow::new(received, [UPSTREAM, CALLER]));
    let joined = poll_fn(|cx| {
        let there = there.poll(caller, upstream, cx)?;
        let back = back.poll(upstream, caller, cx)?;
        if there.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    let broken = joined.await.err();
    Relayed { bytes: (there.passed, back.passed), broken }
}

/// One direction.
struct Flow<'a> {
    /// Counts bytes as they flow: a connection that lives for days is visible all the time.
    count: &'a Count,
    /// What was counted.
    passed: u64,
    /// Whose fault it is when reading fails, and when writing does.
    blame: [Reason; 2],
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
    fn new(count: &'a Count, blame: [Reason; 2]) -> Self {
        Self { count, passed: 0, blame, intake: Intake::new(BULK), stage: Stage::Open }
    }

    /// Moves what can be moved; ready when the source's end was passed on.
    fn poll(&mut self, source: &mut Stream, sink: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let [_, writing] = self.blame;
        loop {
            match self.stage {
                Stage::Open => ready!(self.poll_move(source, sink, cx))?,
                Stage::Ending => {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(|error| (writing, error))?;
                    self.stage = Stage::Over;
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Moves bytes once. While the source is silent, the sink sends what it still holds.
    fn poll_move(&mut self, source: &mut Stream, sink: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let [reading, writing] = self.blame;
        let Poll::Ready(bytes) = source.poll_fill(&mut self.intake, cx) else {
            return match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err((writing, error))),
                Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            };
        };
        let bytes = bytes.map_err(|error| (reading, error))?;
        if bytes.is_empty() {
            self.stage = Stage::Ending;
            return Poll::Ready(Ok(()));
        }
        let count = ready!(Pin::new(sink).poll_write(cx, bytes)).map_err(|error| (writing, error))?;
        if count == 0 {
            return Poll::Ready(Err((writing, io::ErrorKind::WriteZero.into())));
        }
        source.consume(&mut self.intake, count);
        self.count.add(count as u64);
        self.passed += count as u64;
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
