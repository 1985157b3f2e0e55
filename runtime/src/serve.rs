//! HTTP servers that survive hostile clients: connections, handshakes, headers and idle time are bounded, and a stop
//! lets open requests finish. Used by the administration port, the issuer and the webhook.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections open at once on one listener; more wait in the kernel's backlog. An operator serves a few thousand
/// proxies which connect for one request a day each; 1,024 × 64 KiB of buffers is the memory it may cost.
const CONNECTIONS_MAX: usize = 1024;
/// A TLS handshake takes two round trips; a client that needs longer than this holds the connection on purpose.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From the first byte of a connection or request to the end of its head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection lives no longer than this, so that an idle or slow one cannot hold a place for ever; HTTP/2 clients are
/// told to reconnect (GOAWAY) and their open requests finish.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Time for open requests after a stop or at the end of a connection's life.
const DRAIN: Duration = Duration::from_secs(5);
/// Largest head of an HTTP/1 request.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Streams on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Pause after `accept` failed (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves plain HTTP/1.1 and HTTP/2 until `stop`.
///
/// # Errors
/// None today; the result lets it run as a task of [`Shutdown`](crate::shutdown::Shutdown).
pub async fn http(listener: TcpListener, routes: Router, stop: CancellationToken) -> anyhow::Result<()> {
    accept_loop(listener, routes, None, stop).await;
    Ok(())
}

/// Serves HTTPS until `stop`; the protocol is what ALPN chose, HTTP/1.1 where the client offered none.
///
/// # Errors
/// None today, see [`http`].
pub async fn https(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    accept_loop(listener, routes, Some(TlsAcceptor::from(tls)), stop).await;
    Ok(())
}

async fn accept_loop(listener: TcpListener, routes: Router, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (routes, tls, stop) = (routes.clone(), tls.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, routes, tls, stop).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await; // bounded: every connection ends DRAIN after `stop` at the latest
}

async fn connection(stream: TcpStream, routes: Router, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true); // only latency is at stake
    let Some(tls) = tls else {
        return http1_connection(stream, routes, stop).await;
    };
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
    let stream = tokio::select! {
        () = stop.cancelled() => return,
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => return tracing::debug!("TLS handshake timed out"),
        },
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2_connection(stream, routes, stop).await;
    } else {
        http1_connection(stream, routes, stop).await;
    }
}

async fn http1_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    stop: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(DRAIN, served).await; // what is not finished by then is cut
}

async fn http2_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    stop: CancellationToken,
) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_LIFE) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(DRAIN, served).await; // what is not finished by then is cut
}

#[cfg(test)]
mod tests;
