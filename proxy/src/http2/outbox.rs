//! Gathers what h2 writes, so that the frames of many streams leave in one write.
//!
//! h2 writes and flushes after every DATA frame of 256 bytes or more. Its flushes do nothing here: who drives the connection flushes once,
//! when h2 has no more to write, or when there is much.
//!
//! What h2 reads is bounded at the same place: it would read all there is before any stream is polled, and takes a burst of small frames
//! for an attack. And what it reads is metered (`meter.rs`).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::meter::{Flood, Meter};
use crate::buffer::{Buffer, LARGEST};
use crate::io::Stream;

/// Most that is gathered before it is written: three frames of the usual largest size, so that bulk leaves by four.
const GATHERED_BYTES: usize = 56 * 1024;
/// Of a write as long as this it is likely that more follow.
const LONG_BYTES: usize = 4 * 1024;
/// Most that is read before the streams have their turn: frames of one byte are 6,500 of these, and h2 allows 8,200 unread.
const READ_BYTES: usize = 64 * 1024;
/// How long, and for how many bytes, what a refused peer still sends is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
/// See [`LINGER`]: what is on its way when a peer hears that it is refused.
const LINGER_BYTES: usize = 256 * 1024;
/// Slices of one write: what was gathered, and what h2 writes at once.
const SLICES_MAX: usize = 8;

/// The driver's end of a connection.
#[derive(Debug)]
pub(super) struct Outbox(Rc<RefCell<Gathering>>);

/// h2's end of it.
#[derive(Debug)]
pub(super) struct Wired(Rc<RefCell<Gathering>>);

#[derive(Debug)]
struct Gathering {
    stream: Stream,
    gathered: Buffer,
    /// Whether the stream itself may hold bytes back.
    unflushed: bool,
    /// What may still be read in this turn.
    allowance: usize,
    meter: Meter,
    /// Whether the peer sent more of what moves nothing than it may; then nothing of it is read any more.
    flooded: bool,
}

impl Outbox {
    pub(super) fn new(stream: Stream, meter: Meter) -> Self {
        Self(Rc::new(RefCell::new(Gathering {
            stream,
            gathered: Buffer::new(),
            unflushed: false,
            allowance: READ_BYTES,
            meter,
            flooded: false,
        })))
    }

    /// Whether the peer is a proxy of the mesh.
    pub(super) fn is_meshed(&self) -> bool {
        matches!(self.0.borrow().stream, Stream::Tls(_))
    }

    /// Whether the peer floods: whoever drives the connection ends it.
    pub(super) fn is_flooded(&self) -> bool {
        self.0.borrow().flooded
    }

    /// What h2 reads and writes.
    pub(super) fn wire(&self) -> Wired {
        Wired(Rc::clone(&self.0))
    }

    /// Ends a turn: brings everything gathered on its way.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.0.borrow_mut();
        gathering.allowance = READ_BYTES;
        gathering.poll_flush(cx)
    }

    /// Ends the connection of a peer that broke the rules, so that it can read why. Bytes that nobody reads would make the kernel reset
    /// the connection, and what the peer has not read by then is lost with it.
    pub(super) async fn linger(self) {
        let Some(gathering) = Rc::into_inner(self.0).map(RefCell::into_inner) else { return };
        let Gathering { mut stream, gathered, .. } = gathering;
        let mut bytes = [0; 4096];
        let drained = async {
            stream.write_all(gathered.filled()).await?;
            stream.shutdown().await?;
            let mut count = 0;
            while count < LINGER_BYTES {
                match stream.read(&mut bytes).await? {
                    0 => break,
                    length => count += length,
                }
            }
            io::Result::Ok(())
        };
        // However that ends, the connection is over.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}

impl Gathering {
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if self.gathered.len() + length <= GATHERED_BYTES {
            self.gathered.space(if length < LONG_BYTES { length } else { LARGEST - self.gathered.len() });
            for slice in slices {
                self.gathered.extend(slice);
                self.meter.send(slice);
            }
            return Poll::Ready(Ok(length));
        }
        loop {
            let before = self.gathered.len();
            let written = ready!(self.poll_write_through(cx, slices))?;
            self.gathered.consume(written.min(before));
            if written > before || length == 0 {
                let taken = written.saturating_sub(before);
                self.note_sent(slices, taken);
                return Poll::Ready(Ok(taken));
            }
        }
    }

    fn note_sent(&mut self, slices: &[IoSlice<'_>], mut taken: usize) {
        for slice in slices {
            let part = taken.min(slice.len());
            self.meter.send(&slice[..part]);
            taken -= part;
        }
    }

    /// Reads once. What the meter takes out is not counted as read.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.flooded {
                return Poll::Pending;
            }
            if self.allowance == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let count = buf.filled().len() - before;
            self.allowance = self.allowance.saturating_sub(count);
            match self.meter.receive(&mut buf.filled_mut()[before..]) {
                // Nothing would mean the end of the connection.
                Ok(0) if count > 0 => buf.set_filled(before),
                Ok(left) => {
                    buf.set_filled(before + left);
                    return Poll::Ready(Ok(()));
                }
                Err(Flood) => {
                    buf.set_filled(before);
                    self.flooded = true;
                }
            }
        }
    }

    fn poll_write_through(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { stream, gathered, unflushed, .. } = self;
        let mut all = [IoSlice::new(&[]); SLICES_MAX];
        let chosen = [IoSlice::new(gathered.filled())];
        let chosen = chosen.iter().chain(slices).filter(|slice| !slice.is_empty());
        let count = all.iter_mut().zip(chosen).map(|(place, slice)| *place = IoSlice::new(slice)).count();
        *unflushed = true;
        match ready!(Pin::new(stream).poll_write_vectored(cx, &all[..count]))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = ready!(self.poll_write_through(cx, &[]))?;
            self.gathered.consume(written);
        }
        self.gathered.release();
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wired {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wired {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, &bufs[..bufs.len().min(SLICES_MAX - 1)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// See the module.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathering = self.0.borrow_mut();
        ready!(gathering.poll_flush(cx))?;
        Pin::new(&mut gathering.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Outbox, Wired, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let outbox = Outbox::new(Stream::Plain(listener.accept().await.unwrap().0), Meter::of_upstream());
        let wired = outbox.wire();
        (outbox, wired, far)
    }

    #[tokio::test]
    async fn small_writes_leave_as_one_when_the_turn_ends() {
        let (outbox, mut wired, mut far) = pair().await;
        for _ in 0..100 {
            wired.write_all(&[7; 100]).await.unwrap();
            wired.flush().await.unwrap();
        }
        assert_eq!(far.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::future::poll_fn(|cx| outbox.poll_flush(cx)).await.unwrap();
        let mut all = [0; 10_000];
        assert_eq!(far.read(&mut all).await.unwrap(), 10_000);
    }

    #[tokio::test]
    async fn writes_of_all_sizes_arrive_in_order() {
        let (outbox, mut wired, mut far) = pair().await;
        let sizes = [1, 9, 255, 4096, 16_384, 16_393, 100_000, 3, 1_000_000, 20_000];
        let sent: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|index| (index % 251) as u8).collect();
        let expected = sent.clone();
        let reading = tokio::spawn(async move {
            let mut read = vec![0; expected.len()];
            far.read_exact(&mut read).await.unwrap();
            assert!(read == expected);
        });
        let mut rest = &sent[..];
        for size in sizes {
            let (head, payload) = rest[..size].split_at(size.min(9));
            let mut left = &mut [IoSlice::new(head), IoSlice::new(payload)][..];
            while !left.is_empty() {
                let written = wired.write_vectored(left).await.unwrap();
                IoSlice::advance_slices(&mut left, written);
            }
            rest = &rest[size..];
        }
        std::future::poll_fn(|cx| outbox.poll_flush(cx)).await.unwrap();
        reading.await.unwrap();
    }

    #[tokio::test]
    async fn a_turn_reads_no_more_than_its_share() {
        let (outbox, mut wired, mut far) = pair().await;
        far.write_all(&[7; READ_BYTES + 1]).await.unwrap();
        let mut read = vec![0; READ_BYTES];
        wired.read_exact(&mut read).await.unwrap();
        let mut more = |cx: &mut Context<'_>| Pin::new(&mut wired).poll_read(cx, &mut ReadBuf::new(&mut [0; 10]));
        let bounded = std::future::poll_fn(|cx| Poll::Ready(more(cx).is_pending())).await;
        std::future::poll_fn(|cx| outbox.poll_flush(cx)).await.unwrap();
        assert!(bounded, "the byte behind it was there");
        std::future::poll_fn(more).await.unwrap();
    }
}
