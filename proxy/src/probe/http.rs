//! `httpGet` probes: healthy from 200 to 399, as the kubelet judges (`pkg/probe/http`). A redirect is healthy and is not followed.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::insecure;

/// As much of a body as the kubelet reads (`maxRespBodyLength`), so that an application can finish a usual answer.
const BODY_BYTES: usize = 10 * 1024;

/// One GET on a fresh connection.
pub(super) async fn get(
    stream: TcpStream,
    address: SocketAddr,
    path: &str,
    https: bool,
    headers: &[(String, String)],
) -> Result<(), String> {
    let request = request(address, path, headers)?;
    if https {
        let stream = insecure::connect(stream, address.ip())
            .await
            .map_err(|cause| format!("TLS with {address} failed: {cause}"))?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

/// The request as the kubelet makes it: the probe's headers win over the defaults, and repeated names stay repeated.
fn request(address: SocketAddr, path: &str, headers: &[(String, String)]) -> Result<Request<Empty<Bytes>>, String> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(&path)
        .body(Empty::new())
        .map_err(|cause| format!("the probe's path {path:?} is not usable: {cause}"))?;
    let map = request.headers_mut();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| format!("the probe's header name {name:?} is not usable"))?;
        let value: HeaderValue =
            value.parse().map_err(|_| format!("the value of the probe's header {name} is not usable"))?;
        map.append(name, value);
    }
    let host = HeaderValue::try_from(address.to_string()).expect("an address is visible ASCII");
    map.entry(HOST).or_insert(host);
    map.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
    map.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    map.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, request: Request<Empty<Bytes>>) -> Result<(), String> {
    let broken = |cause: hyper::Error| format!("the application broke the HTTP exchange: {cause}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024) // a head larger than this is no healthy answer
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answer = async {
        let mut answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let mut read = 0;
        while read < BODY_BYTES {
            match answer.body_mut().frame().await {
                None => break,
                Some(frame) => read += frame.map_err(broken)?.data_ref().map_or(0, Bytes::len),
            }
        }
        healthy(status)
    };
    // The connection ends by itself after the answer; a dropped one is closed, which is safe because nothing is kept.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        verdict = &mut answer => verdict,
        ended = connection => {
            ended.map_err(broken)?;
            answer.await
        }
    }
}

fn healthy(status: StatusCode) -> Result<(), String> {
    if (200..400).contains(&status.as_u16()) {
        Ok(())
    } else {
        Err(format!("the application answered {}", status.as_u16()))
    }
}
