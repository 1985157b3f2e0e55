//! The two ends of `helm test`: a server, and a client that calls it through the mesh and looks whether the mesh was
//! there.
//!
//! They live in this binary because its image is on every cluster that has the chart, and needs nothing from outside.

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::routing::get;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::HEALTH_PORT;

/// Port of the test server.
pub const PORT: u16 = 8080;
/// What it answers.
const GREETING: &str = "hello from the mesh\n";
/// How long the server may take to become reachable: an image pull is the slowest part.
const REACHABLE_MAX: Duration = Duration::from_secs(90);
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(500);
/// Time limit of one call.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Largest answer read, in bytes; the metrics of a fresh proxy have some ten thousand.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Answers every GET until `stop`.
///
/// # Errors
/// As [`serve::http`](tulle_runtime::serve::http).
pub async fn server(listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    tulle_runtime::serve::http(listener, Router::new().fallback(get(|| async { GREETING })), stop).await
}

/// Calls `url` until it answers, then asks the pod's own proxy whether that call was mutual TLS.
///
/// # Errors
/// What did not work, with the next thing to look at.
pub async fn call(url: &Uri) -> anyhow::Result<String> {
    let greeting = reached(url).await?;
    ensure!(greeting == GREETING, "{url} answered {greeting:?} instead of the test server's greeting");
    let metrics: Uri = format!("http://127.0.0.1:{HEALTH_PORT}/metrics").parse().context("the proxy's address")?;
    let text =
        fetch(&metrics).await.context("this pod has no proxy; was its namespace labelled tulle.dev/inject=enabled?")?;
    let calls = mutual_tls_calls(&text);
    ensure!(
        calls > 0,
        "{url} answered, but not over mutual TLS; see the log of the container tulle-proxy of both pods"
    );
    Ok(format!("{url} answered; {calls} call(s) over mutual TLS"))
}

async fn reached(url: &Uri) -> anyhow::Result<String> {
    let deadline = Instant::now() + REACHABLE_MAX;
    loop {
        match fetch(url).await {
            Ok(body) => return Ok(body),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("{url} was not reached within {REACHABLE_MAX:?}")));
            }
            Err(_) => sleep(RETRY).await,
        }
    }
}

async fn fetch(url: &Uri) -> anyhow::Result<String> {
    timeout(CALL_MAX, get_once(url)).await.with_context(|| format!("no answer within {CALL_MAX:?}"))?
}

async fn get_once(url: &Uri) -> anyhow::Result<String> {
    let host = url.host().context("the URL names no host")?;
    let stream =
        TcpStream::connect((host, url.port_u16().unwrap_or(80))).await.with_context(|| format!("connect to {host}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(url.path()).header(hyper::header::HOST, host).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let (status, error) = (response.status(), response.headers().get("tulle-error").cloned());
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    driver.abort(); // one request a connection
    if status != StatusCode::OK {
        bail!("{url} answered {status}, tulle-error {error:?}");
    }
    let body = body.map_err(|error| anyhow::anyhow!("{url} broke off: {error}"))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// Client-side requests over mutual TLS, from the proxy's metrics in text form.
fn mutual_tls_calls(metrics: &str) -> u64 {
    let wanted = |line: &&str| line.starts_with("tulle_http_client_requests_total{") && line.contains(r#"mtls="true""#);
    metrics.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mutual_tls_counts() {
        let metrics = "\
# TYPE tulle_http_client_requests counter
tulle_http_client_requests_total{code=\"200\",mtls=\"true\"} 2
tulle_http_client_requests_total{code=\"503\",mtls=\"true\"} 1
tulle_http_client_requests_total{code=\"200\",mtls=\"false\"} 7
tulle_http_server_requests_total{code=\"200\",mtls=\"true\"} 9
";
        assert_eq!(mutual_tls_calls(metrics), 3);
        assert_eq!(mutual_tls_calls(""), 0);
    }

    #[tokio::test]
    async fn a_call_outside_the_mesh_fails_with_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url: Uri = format!("http://{}/", listener.local_addr().expect("bound above")).parse().expect("a URL");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server(listener, stop.clone()));
        assert_eq!(fetch(&url).await.expect("the server answers"), GREETING);
        let error = format!("{:#}", call(&url).await.expect_err("no proxy here"));
        assert!(error.contains("tulle.dev/inject=enabled"), "{error}");
        stop.cancel();
        serving.await.expect("no panic").expect("served");
    }
}
