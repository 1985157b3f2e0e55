//! Opens HTTP/2 on a connected stream. hyper's connection task runs on the data thread and ends with the connection.

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::body::RequestBody;
use super::serve::{
    H2_CONNECTION_WINDOW_BYTES, H2_PING_INTERVAL, H2_PING_TIMEOUT, H2_STREAM_WINDOW_BYTES, LocalExecutor,
};
use crate::io::Stream;

/// Sends requests on an HTTP/2 connection, many at a time.
pub(crate) type H2Sender = http2::SendRequest<RequestBody>;

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
