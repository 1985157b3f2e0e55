//! Conversations that outlive a request: a gRPC stream, a WebSocket, a TCP connection.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE, UPGRADE};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, channel};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, Role};

use super::Mode;
use crate::client::{self, Http, Target, Unanswered};
use crate::echo::{self, Deframer, Message};

/// Messages between us and hyper; there is one request at a time.
const QUEUED_FRAMES: usize = 2;

/// One open conversation.
pub(crate) enum Stream {
    /// `/echo.Echo/Chat`, with the connection that carries it.
    Grpc {
        _connection: Http,
        sender: channel::Sender<Bytes, hyper::Error>,
        answers: hyper::body::Incoming,
        deframer: Deframer,
    },
    /// A WebSocket.
    Websocket(Box<WebSocketStream<TokioIo<Upgraded>>>),
    /// Lines over TCP.
    Tcp(BufReader<TcpStream>),
}

impl Stream {
    /// Connects and gets past the protocol's greeting.
    pub(crate) async fn open(mode: Mode, target: &Target) -> Result<Self> {
        match mode {
            Mode::GrpcStream => open_grpc(target).await,
            Mode::Websocket => open_websocket(target).await,
            _ => Ok(Self::Tcp(BufReader::new(target.connect().await?))),
        }
    }

    /// One message there and one back.
    pub(crate) async fn exchange(&mut self, id: &str) -> Result<Message> {
        match self {
            Self::Grpc { sender, answers, deframer, .. } => {
                let message = Message { id: id.to_owned(), ..Message::default() };
                sender.send_data(message.frame()).await.context("the stream was closed before the message")?;
                next_message(answers, deframer).await
            }
            Self::Websocket(socket) => {
                socket.send(Frame::text(id)).await?;
                loop {
                    match socket.next().await.context("the socket ended without an answer")?? {
                        Frame::Text(text) => return Ok(serde_json::from_str(&text)?),
                        Frame::Close(frame) => bail!("closed instead of an answer: {frame:?}"),
                        _ => {}
                    }
                }
            }
            Self::Tcp(stream) => {
                stream.get_mut().write_all(format!("{id}\n").as_bytes()).await?;
                let mut line = String::new();
                if stream.read_line(&mut line).await? == 0 {
                    bail!("closed instead of an answer");
                }
                Ok(Message { id: line.trim_end().to_owned(), name: "tcp".to_owned(), closing: false })
            }
        }
    }
}

async fn open_grpc(target: &Target) -> Result<Stream> {
    let mut http = Http::two(target).await?;
    let (sender, body) = channel::Channel::new(QUEUED_FRAMES);
    let request = http
        .request(target, echo::CHAT)
        .method(Method::POST)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(body.boxed())?;
    let response = answered(http.send(request).await)?;
    if response.status() != StatusCode::OK {
        bail!("status {} {:?}", response.status(), response.headers().get("tulle-error"));
    }
    Ok(Stream::Grpc { _connection: http, sender, answers: response.into_body(), deframer: Deframer::default() })
}

async fn next_message(answers: &mut hyper::body::Incoming, deframer: &mut Deframer) -> Result<Message> {
    loop {
        match deframer.next() {
            Ok(Some(message)) => return Ok(message),
            Ok(None) => {}
            Err(error) => bail!("answer is no frame: {}", error.0),
        }
        let frame = answers.frame().await.context("the stream ended without an answer")??;
        match frame.into_data() {
            Ok(data) => deframer.push(&data),
            Err(frame) => bail!("trailers instead of an answer: {:?}", frame.trailers_ref()),
        }
    }
}

async fn open_websocket(target: &Target) -> Result<Stream> {
    let mut http = Http::one(target).await?;
    let request = http
        .request(target, &target.path)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, generate_key())
        .body(client::full(Bytes::new()))?;
    let response = answered(http.send(request).await)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        bail!("status {} instead of an upgrade, {:?}", response.status(), response.headers().get("tulle-error"));
    }
    let io = TokioIo::new(hyper::upgrade::on(response).await?);
    Ok(Stream::Websocket(Box::new(WebSocketStream::from_raw_socket(io, Role::Client, None).await)))
}

fn answered<T>(sent: Result<T, Unanswered>) -> Result<T> {
    sent.map_err(|error| match error {
        Unanswered::Unsent => anyhow::anyhow!("the connection was closed before the request was sent"),
        Unanswered::Failed(error) => anyhow::anyhow!("{}", client::root_cause(&error)),
    })
}
