//! TLS over a connection: our own stream on rustls' unbuffered interface, with the buffers and the system calls under our control.
//!
//! Reading fills a pooled block with as much ciphertext as one system call brings; writing gathers up to four records into one system
//! call. A connection without bytes under way holds no buffer. Memory is bounded in both directions: nothing is read while plaintext
//! waits to be taken, nothing is encrypted while a block of ciphertext waits to be sent.
//!
//! Every call may be abandoned: what was read or encrypted stays with the stream.

mod handshake;
mod records;
mod session;

pub(crate) use handshake::{accept, connect};

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::CommonState;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use records::Records;

/// A TLS connection whose handshake is over.
pub(crate) struct TlsStream<IO = TcpStream> {
    io: IO,
    records: Records,
    /// The connection below has ended without the peer's farewell.
    truncated: bool,
}

impl<IO> TlsStream<IO> {
    /// The peer's certificates, its own first.
    pub(crate) fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.state().peer_certificates()
    }

    /// The protocol both sides agreed on (RFC 7301).
    pub(crate) fn alpn_protocol(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// Uses up `count` bytes of what [`poll_fill`](Self::poll_fill) showed.
    pub(crate) fn consume(&mut self, count: usize) {
        self.records.consume(count);
    }

    /// The connection below.
    pub(crate) fn io(&self) -> &IO {
        &self.io
    }

    /// Whether all that arrived was taken, and the peer has not ended.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.records.holds_nothing() && !self.truncated
    }

    fn state(&self) -> &CommonState {
        self.records.session().state()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Shows decrypted bytes where they are, all there are at the moment; none: the peer ended in due form.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ended without the peer's `close_notify` (RFC 8446 §6.1), `InvalidData` when the peer broke
    /// the protocol, or that of the connection.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(self.poll_open(cx, &mut ReadBuf::new(&mut [])))?;
        Poll::Ready(Ok(self.records.plaintext()))
    }

    /// Ready when there is plaintext, in `direct` or kept, or the peer has ended.
    fn poll_open(&mut self, cx: &mut Context<'_>, direct: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.records.plaintext().is_empty() || self.records.ended() {
                return Poll::Ready(Ok(()));
            }
            let before = direct.filled().len();
            let opened = self.records.open(direct);
            if direct.filled().len() > before || !self.records.plaintext().is_empty() {
                return Poll::Ready(Ok(())); // an error behind these bytes is told next time
            }
            if let Err(error) = opened {
                let _ = self.poll_send(cx); // the alert; the error is what counts
                return Poll::Ready(Err(error));
            }
            if !self.records.ended() {
                ready!(self.poll_receive(cx))?;
            }
        }
    }

    /// Reads ciphertext once.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.truncated {
            self.truncated = ready!(self.records.incoming.poll_read(&mut self.io, cx))? == 0;
        }
        if self.truncated {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the connection without TLS close_notify",
            )));
        }
        Poll::Ready(Ok(()))
    }

    /// Sends until nothing is left.
    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.records.outgoing().is_empty() {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends once, if there is anything.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outgoing = self.records.outgoing();
        if outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = ready!(Pin::new(&mut self.io).poll_write(cx, outgoing))?;
        self.records.sent(count);
        Poll::Ready(if count > 0 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) })
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_open(cx, buf))?;
        let plaintext = this.records.plaintext();
        let count = plaintext.len().min(buf.remaining());
        buf.put_slice(&plaintext[..count]);
        this.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// One system call for all that is taken. What the kernel does not take of it is kept, and the next call goes behind it.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let sealed = this.records.seal(bufs);
            let sent = this.poll_send(cx); // or the alert that tells why not
            let count = sealed?;
            if count > 0 || bufs.iter().all(|buf| buf.is_empty()) {
                return match sent {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
                };
            }
            ready!(sent)?;
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_all(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// Ends our direction with `close_notify`; the peer's goes on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.records.close();
        ready!(this.poll_send_all(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("ended", &self.records.ended()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
