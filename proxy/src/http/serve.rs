//! Serves HTTP/2 on one accepted connection, in the connection's own task, until it ends or the proxy drains.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::drain::Drain;
use crate::io::Stream;

/// Bytes in flight to us on one HTTP/2 stream.
pub(super) const H2_STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes in flight to us on one HTTP/2 connection. h2 closes connections that hold more unread tiny frames than half of this
/// divided by their overhead, so it must be at least 4 MiB for streams of small messages.
pub(super) const H2_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Streams a peer may have open at once.
const H2_STREAMS_MAX: u32 = 1000;
/// Largest header list accepted.
const H2_HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// How often an HTTP/2 peer is asked for a sign of life, and how long it has to answer.
pub(super) const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// See [`H2_PING_INTERVAL`].
pub(super) const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Spawns hyper's tasks on the data thread's own runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves `stream` with `service`.
pub(crate) async fn serve<S, B>(stream: Stream, service: S, drain: Drain) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + 'static,
    S::Future: 'static,
    B: Body<Data = Bytes, Error = hyper::Error> + 'static,
{
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(H2_HEADERS_BYTES_MAX)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        served = connection.as_mut() => return served,
        () = drain.started() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
