//! Opens HTTP on a connected stream. hyper's connection task runs on the data thread and ends with the connection.

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::body::RequestBody;
use super::serve::{
    H2_CONNECTION_WINDOW_BYTES, H2_PING_INTERVAL, H2_PING_TIMEOUT, H2_STREAM_WINDOW_BYTES, LocalExecutor,
};
use crate::io::Stream;

/// Sends requests on an HTTP/1 connection, one at a time.
pub(crate) type H1Sender = http1::SendRequest<RequestBody>;
/// Sends requests on an HTTP/2 connection, many at a time.
pub(crate) type H2Sender = http2::SendRequest<RequestBody>;

/// Read buffer of an upstream HTTP/1 connection at most.
const H1_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// HTTP/1.1, able to become something else after a 101.
pub(crate) async fn h1(stream: Stream) -> hyper::Result<H1Sender> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(H1_BUFFER_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream HTTP/1 connection ended");
        }
    });
    Ok(sender)
}

/// HTTP/2 with prior knowledge.
pub(crate) async fn h2(stream: Stream) -> hyper::Result<H2Sender> {
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream HTTP/2 connection ended");
        }
    });
    Ok(sender)
}
