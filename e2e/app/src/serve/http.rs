//! HTTP: an echo that says who answered, what was asked and under which id.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Server, chat};
use crate::client::{Body, full};
use crate::echo;
use crate::ledger::REQUEST_ID;

/// Largest request body echoed.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Header with the server's name, for those who do not read the body.
const SERVED_BY: &str = "x-served-by";

#[derive(Serialize)]
struct Echo<'a> {
    name: &'a str,
    id: &'a str,
    request_id: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    version: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
}

/// Serves one connection of either version.
pub(super) async fn serve(stream: TcpStream, server: Arc<Server>) {
    let builder = auto::Builder::new(TokioExecutor::new());
    let service = service_fn(|request| answer(request, server.clone()));
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    tokio::select! {
        _ = &mut connection => return, // a connection that broke is the peer's to complain about
        () = server.closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Serves the ledger; never recorded itself.
pub(super) async fn serve_ledger(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(|_| {
        let text = serde_json::to_vec(&*server.ledger()).unwrap_or_default();
        async { Ok::<_, Infallible>(json(StatusCode::OK, text)) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, server: Arc<Server>) -> Result<Response<Body>, Infallible> {
    let http1 = request.version() < Version::HTTP_2;
    let mut response = dispatch(request, &server).await;
    // HTTP/2 needs no such header: its GOAWAY comes when the server closes (RFC 9113 §6.8).
    if http1 && server.leaving.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn dispatch(request: Request<Incoming>, server: &Arc<Server>) -> Response<Body> {
    if request.headers().contains_key(UPGRADE) {
        return chat::websocket(request, server.clone());
    }
    match request.uri().path() {
        "/healthz" => json(StatusCode::OK, "{}"),
        "/headers" => json(StatusCode::OK, serde_json::to_vec(&headers(request.headers())).unwrap_or_default()),
        echo::CHAT => chat::grpc(request, server.clone()),
        echo::UNARY => chat::unary(request, server.clone(), 1).await,
        echo::STREAM => chat::unary(request, server.clone(), echo::STREAMED).await,
        _ => echo(request, server).await,
    }
}

async fn echo(request: Request<Incoming>, server: &Server) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return json(StatusCode::PAYLOAD_TOO_LARGE, "{}");
    };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let id = head.headers.get(REQUEST_ID);
    let request_id = id.and_then(|id| id.to_str().ok());
    server.ledger().record(request_id);
    if !server.delay.is_zero() {
        sleep(server.delay).await;
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let text = serde_json::to_vec(&Echo {
        name: &server.name,
        id: &server.id,
        request_id,
        method: head.method.as_str(),
        path,
        version: format!("{:?}", head.version),
        body: &body,
    });
    let mut response = json(wanted_status(path), text.unwrap_or_default());
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    if let Ok(name) = HeaderValue::from_str(&server.name) {
        response.headers_mut().insert(SERVED_BY, name);
    }
    response
}

/// `/status/NNN` asks for that status; everything else is fine.
fn wanted_status(path: &str) -> StatusCode {
    let wanted = path.strip_prefix("/status/").and_then(|status| status.parse().ok());
    wanted.unwrap_or(StatusCode::OK)
}

fn headers(headers: &HeaderMap) -> Vec<(&str, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
