//! Connections to upstreams. One task drives each and ends with it; requests go straight into h2's store of streams.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http::{HeaderMap, Request};

use super::keepalive;
use super::meter::Meter;
use super::outbox::{Outbox, Wired};
use super::{
    CONNECTION_WINDOW_BYTES, HEADERS_BYTES_MAX, STREAM_UNWRITTEN_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_FIRST,
};
use crate::error::UNPROCESSED;
use crate::io::Stream;
use crate::mirror::ANSWER_BYTES_MAX;

/// Opens streams on a connection.
#[derive(Debug)]
pub(crate) struct Sender(RefCell<SendRequest<Bytes>>);

impl Sender {
    /// Whether no stream can be opened any more: the connection ended, its peer said that it leaves (GOAWAY), or stream ids ran out.
    pub(crate) fn is_closed(&self) -> bool {
        // Never pending: this handle opens no stream itself.
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.0.borrow_mut().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Opens a stream. An error means that nothing was sent.
    pub(super) fn send(
        &self,
        request: Request<()>,
        ended: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        // A handle of its own: one that opened a stream beyond the peer's limit opens no other before that one is on its way.
        let mut sender = self.0.borrow().clone();
        sender.send_request(request, ended)
    }
}

impl Sender {
    /// Sends a whole request and drops its answer.
    ///
    /// # Errors
    /// There was no answer, or one that says that nothing was processed.
    pub(crate) async fn send_whole(
        &self,
        head: Request<()>,
        body: Bytes,
        trailers: Option<HeaderMap>,
    ) -> Result<(), h2::Error> {
        let (answer, mut to) = self.send(head, body.is_empty() && trailers.is_none())?;
        // h2 holds what the peer's window does not take yet.
        if !body.is_empty() {
            to.send_data(body, trailers.is_none())?;
        }
        if let Some(trailers) = trailers {
            to.send_trailers(trailers)?;
        }
        let answer = answer.await?;
        if answer.headers().contains_key(UNPROCESSED) {
            return Err(h2::Reason::REFUSED_STREAM.into());
        }
        let mut body = answer.into_body();
        let mut read = 0;
        // Beyond the bound, or in trouble, the drop of the stream resets it.
        while let Some(Ok(data)) = body.data().await {
            read += data.len();
            if read > ANSWER_BYTES_MAX || body.flow_control().release_capacity(data.len()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Opens HTTP/2 with prior knowledge on a connected stream. `pings`: whether the peer is asked for signs of life. Only a proxy of the
/// mesh is: servers in common use end connections that ping as often (grpc-go: `too_many_pings`), and an application of this pod or
/// one behind TCP's own keep-alive does not vanish unnoticed.
///
/// # Errors
/// h2 refuses its settings, or the stream is closed.
pub(crate) async fn open(stream: Stream, pings: bool) -> Result<Sender, h2::Error> {
    let outbox = Outbox::new(stream, Meter::of_upstream());
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_max_send_streams(STREAMS_FIRST)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buffer_size(STREAM_UNWRITTEN_BYTES_MAX)
        .handshake(outbox.wire())
        .await?;
    let pings = connection.ping_pong().filter(|_| pings);
    let driver = tokio::task::spawn_local(Driver { connection, outbox });
    if let Some(pings) = pings {
        // A task of its own, so that a busy connection never looks at a timer.
        let driver = driver.abort_handle();
        tokio::task::spawn_local(async move {
            keepalive::silence(pings).await;
            driver.abort();
        });
    }
    Ok(Sender(RefCell::new(sender)))
}

/// Reads and writes a connection until it ends.
struct Driver {
    connection: Connection<Wired, Bytes>,
    outbox: Outbox,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut self.connection).poll(cx);
        let flushed = self.outbox.poll_flush(cx);
        if self.outbox.is_flooded() {
            tracing::debug!("upstream HTTP/2 connection ended: it floods");
            return Poll::Ready(());
        }
        match (polled, flushed) {
            (Poll::Ready(Ok(())), _) => Poll::Ready(()),
            (Poll::Ready(Err(error)), _) => {
                tracing::debug!(%error, "upstream HTTP/2 connection ended");
                Poll::Ready(())
            }
            (Poll::Pending, Poll::Ready(Err(error))) => {
                tracing::debug!(%error, "upstream HTTP/2 connection ended");
                Poll::Ready(())
            }
            (Poll::Pending, _) => Poll::Pending,
        }
    }
}
