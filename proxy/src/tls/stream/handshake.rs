//! Handshakes of both roles.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsStream;
use super::records::Records;
use super::session::{Session, Step};

/// Opens TLS on a connection we dialled. The caller sets the time limit; an abandoned handshake closes the connection.
///
/// # Errors
/// `InvalidData` with rustls' reason when one side does not accept the other, `UnexpectedEof` when the peer hung up, or that of the
/// connection.
pub(crate) async fn connect<IO: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: IO,
) -> io::Result<TlsStream<IO>> {
    handshake(Session::client(config, name), io).await
}

/// Opens TLS on a connection we accepted. The caller sets the time limit; an abandoned handshake closes the connection.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ServerConfig>,
    io: IO,
) -> io::Result<TlsStream<IO>> {
    handshake(Session::server(config), io).await
}

async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
    session: Result<Session, rustls::Error>,
    io: IO,
) -> io::Result<TlsStream<IO>> {
    let session = session.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut stream = TlsStream { io, records: Records::new(session), truncated: false };
    poll_fn(|cx| stream.poll_handshake(cx)).await?;
    Ok(stream)
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let opened = self.records.open(&mut ReadBuf::new(&mut []));
            let step = match opened {
                Ok(step) => step,
                Err(error) => {
                    let _ = self.poll_send_all(cx); // the alert; the error is what counts
                    return Poll::Ready(Err(error));
                }
            };
            let sent = self.poll_send_all(cx)?;
            if step != Step::Handshaking && !self.state().is_handshaking() {
                return sent.map(Ok);
            }
            // A peer that waits for us to read does not read itself, so a flight that is stuck is no reason not to.
            ready!(self.poll_receive(cx)).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "tls handshake eof"),
                _ => error,
            })?;
        }
    }
}
