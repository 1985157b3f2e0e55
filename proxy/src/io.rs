//! The one stream type of the data path: plaintext, TLS of either role, or a share of a TLS connection, without a box around the plain
//! case.

mod intake;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

pub(crate) use intake::Intake;

use crate::mux::MuxStream;
use crate::tls::TlsStream;

/// A connection to or from a peer. TLS state is boxed: it is a kilobyte that plaintext connections should not carry.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Plaintext.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<TlsStream>),
    /// One of many on a TLS connection.
    Mux(MuxStream),
}

impl Stream {
    /// Shows bytes that arrived: those of TLS where they were decrypted, others in `intake`. None: the peer has ended.
    ///
    /// # Errors
    /// That of the connection; for TLS see [`TlsStream::poll_fill`].
    pub(crate) fn poll_fill<'a>(
        &'a mut self,
        intake: &'a mut Intake,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&'a [u8]>> {
        match self {
            Stream::Plain(stream) => {
                if intake.bytes.is_empty() {
                    ready!(intake.poll_read(stream, cx))?;
                }
                Poll::Ready(Ok(intake.bytes.filled()))
            }
            Stream::Mux(stream) => {
                if intake.bytes.is_empty() {
                    ready!(intake.poll_read(stream, cx))?;
                }
                Poll::Ready(Ok(intake.bytes.filled()))
            }
            Stream::Tls(stream) => stream.poll_fill(cx),
        }
    }

    /// Whether a read would find nothing, as far as can be told without a read: no bytes are kept here, and the kernel reported none.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Stream::Plain(stream) => is_unready(stream),
            Stream::Tls(stream) => stream.holds_nothing() && is_unready(stream.io()),
            Stream::Mux(stream) => stream.is_quiet(),
        }
    }

    /// Uses up `count` bytes of what [`poll_fill`](Self::poll_fill) showed.
    pub(crate) fn consume(&mut self, intake: &mut Intake, count: usize) {
        match self {
            Stream::Plain(_) | Stream::Mux(_) => intake.consume(count),
            Stream::Tls(stream) => stream.consume(count),
        }
    }
}

/// Whether nothing was reported since a read emptied the socket.
fn is_unready(stream: &TcpStream) -> bool {
    stream.try_io(Interest::READABLE, || Ok(())).is_err()
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Plain($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Mux($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Mux(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
