//! Calls of many messages: gRPC in its three shapes that matter here, and WebSocket.
//!
//! A server that leaves says so in its answers (`closing`), because neither protocol can take back a message in flight.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, channel};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, Role};

use super::Server;
use super::http::json;
use crate::client::Body;
use crate::echo::{Deframer, Message};

/// Frames on their way to hyper; the peer's flow control holds back the rest.
const QUEUED_FRAMES: usize = 4;

type Sender = channel::Sender<bytes::Bytes, hyper::Error>;

impl Server {
    /// Records the message and makes the answer to it.
    fn reply(&self, message: Message) -> Message {
        self.ledger().record(Some(&message.id));
        Message { id: message.id, name: self.name.clone(), closing: self.leaving.is_cancelled() }
    }
}

/// Reads the one message of a call and answers it `answers` times.
pub(super) async fn unary(request: Request<Incoming>, server: Arc<Server>, answers: usize) -> Response<Body> {
    let mut deframer = Deframer::default();
    if let Ok(body) = request.into_body().collect().await {
        deframer.push(&body.to_bytes());
    }
    let Ok(Some(message)) = deframer.next() else {
        return grpc_failure("3", "one echo message expected"); // INVALID_ARGUMENT
    };
    let reply = server.reply(message).frame();
    if !server.delay.is_zero() {
        sleep(server.delay).await;
    }
    let (mut sender, body) = channel::Channel::new(QUEUED_FRAMES);
    tokio::spawn(async move {
        for _ in 0..answers {
            sender.send_data(reply.clone()).await.ok()?;
        }
        finish(sender, "0").await
    });
    grpc_response(body.boxed())
}

/// Answers each message with one, until the caller ends the stream or the server closes.
pub(super) fn grpc(request: Request<Incoming>, server: Arc<Server>) -> Response<Body> {
    let (sender, body) = channel::Channel::new(QUEUED_FRAMES);
    tokio::spawn(async move {
        let closing = server.closing.clone();
        closing.run_until_cancelled(converse(request.into_body(), sender, server)).await
    });
    grpc_response(body.boxed())
}

async fn converse(mut incoming: Incoming, mut sender: Sender, server: Arc<Server>) -> Option<()> {
    let mut deframer = Deframer::default();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        deframer.push(&data);
        loop {
            match deframer.next() {
                Ok(Some(message)) => sender.send_data(server.reply(message).frame()).await.ok()?,
                Ok(None) => break,
                Err(_) => return finish(sender, "3").await,
            }
        }
    }
    finish(sender, "0").await
}

async fn finish(mut sender: Sender, status: &'static str) -> Option<()> {
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))]);
    sender.send_trailers(trailers).await.ok()
}

fn grpc_response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A failure before any message travels as headers alone.
fn grpc_failure(status: &'static str, message: &'static str) -> Response<Body> {
    let mut response = grpc_response(crate::client::full(""));
    response.headers_mut().insert("grpc-status", HeaderValue::from_static(status));
    response.headers_mut().insert("grpc-message", HeaderValue::from_static(message));
    response
}

/// Accepts a WebSocket (RFC 6455 §4.2.2) that takes ids as text and answers with JSON.
pub(super) fn websocket(mut request: Request<Incoming>, server: Arc<Server>) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return json(StatusCode::BAD_REQUEST, "{}");
    };
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return json(StatusCode::BAD_REQUEST, "{}");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.ok()?);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Some(Ok(frame))) = server.closing.run_until_cancelled(socket.next()).await {
            let Frame::Text(id) = frame else { continue }; // pings and closes are answered by the library
            let reply = server.reply(Message { id: id.to_string(), ..Message::default() });
            socket.send(Frame::text(serde_json::to_string(&reply).ok()?)).await.ok()?;
        }
        socket.close(None).await.ok()
    });
    let mut response = json(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}
