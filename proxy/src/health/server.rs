//! A small HTTP/1.1 server for the proxy's own two ports. Everything a caller can hold is bounded.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once; the kubelet and a few scrapers need a handful. More wait in the kernel's backlog.
const CONNECTIONS: usize = 64;
/// From the start of a request to the end of its head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// A connection lives no longer, so that idle ones cannot keep the places.
const LIFE: Duration = Duration::from_secs(120);
/// Largest head of a request (the least hyper allows); also the read buffer of a connection.
const HEAD_BYTES: usize = 8 * 1024;
/// Pause after `accept` failed (no file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An answer held in memory.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A plain text answer.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

/// Answers requests until `shutdown`, then finishes none: what asks here asks again.
pub(crate) async fn serve<H, F>(listener: TcpListener, shutdown: CancellationToken, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    let accept = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = connection(stream, handler.clone());
                    let stop = shutdown.clone();
                    connections.spawn(async move {
                        // Dropping a connection closes it.
                        let _ = stop.run_until_cancelled(connection).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed on a port of the proxy itself");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    let _: Option<Infallible> = shutdown.run_until_cancelled(accept).await;
    connections.close();
    connections.wait().await;
}

async fn connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(LIFE, served).await {
        tracing::debug!(%error, "connection to a port of the proxy itself ended");
    }
}
