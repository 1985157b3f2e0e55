//! Applications and callers for tests of the HTTP/2 path: h2 itself on both ends, real sockets between.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// What ends with the deadline at the latest.
pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("within the deadline")
}

/// An application that answers each stream with `handle`.
pub(super) async fn application<F, H>(handle: H) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    H: Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handle = handle.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(handle(request, respond));
                }
            });
        }
    });
    address
}

/// A caller's connection to `address`.
pub(super) struct Caller {
    pub(super) sender: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Caller {
    pub(super) async fn new(address: SocketAddr) -> Caller {
        Self::with_window(address, 64 * 1024).await
    }

    /// A caller that takes so many bytes of a stream before it reads.
    pub(super) async fn with_window(address: SocketAddr, bytes: u32) -> Caller {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(bytes).initial_connection_window_size(1 << 20);
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        Caller { sender, connection: tokio::spawn(connection) }
    }

    /// Begins a gRPC call.
    pub(super) async fn call(&mut self) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::post("http://web.shop/echo.Echo/Call")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        self.send(request.body(()).unwrap(), false).await
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, request: Request<()>, ended: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = soon(self.sender.clone().ready()).await.unwrap();
        sender.send_request(request, ended).unwrap()
    }

    /// A call with this body, and its answer.
    pub(super) async fn unary(&mut self, body: &Bytes) -> Response<Message> {
        let (answer, mut to) = self.call().await;
        write(&mut to, body, true).await.unwrap();
        let (head, from) = soon(answer).await.unwrap().into_parts();
        Response::from_parts(head, read(from).await.unwrap())
    }
}

/// A message's body, and its trailers.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// Reads a message to its end.
pub(super) async fn read(mut from: RecvStream) -> Result<Message, h2::Error> {
    let mut message = Message::default();
    while let Some(data) = soon(from.data()).await {
        let data = data?;
        from.flow_control().release_capacity(data.len())?;
        message.body.extend_from_slice(&data);
    }
    message.trailers = soon(from.trailers()).await?;
    Ok(message)
}

/// Reads until there are `count` bytes.
pub(super) async fn read_exactly(from: &mut RecvStream, count: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < count {
        let data = soon(from.data()).await.expect("more data").unwrap();
        from.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    assert_eq!(body.len(), count);
    body
}

/// Writes as the receiver's window allows.
pub(super) async fn write(to: &mut SendStream<Bytes>, body: &Bytes, end: bool) -> Result<(), h2::Error> {
    let mut rest = body.clone();
    while !rest.is_empty() {
        let room = soon(room(to, rest.len())).await?;
        let chunk = rest.split_to(room.min(rest.len()));
        to.send_data(chunk, end && rest.is_empty())?;
    }
    if end && body.is_empty() { to.send_data(Bytes::new(), true) } else { Ok(()) }
}

/// Room for at least one byte.
pub(super) async fn room(to: &mut SendStream<Bytes>, wanted: usize) -> Result<usize, h2::Error> {
    to.reserve_capacity(wanted);
    while to.capacity() == 0 {
        match std::future::poll_fn(|cx| to.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Err(Reason::CANCEL.into()),
        };
    }
    Ok(to.capacity())
}

/// The head of an answer to a gRPC call.
pub(super) fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

/// The trailers of a gRPC call that went well.
pub(super) fn trailers() -> HeaderMap {
    [(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"))].into_iter().collect()
}

/// Answers with what is sent, frame by frame, then with trailers; request trailers come back in them.
pub(super) async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    assert_eq!(request.headers()["te"], "trailers");
    let mut from = request.into_body();
    let mut to = respond.send_response(ok(), false).unwrap();
    while let Some(Ok(data)) = from.data().await {
        if write(&mut to, &data, false).await.is_err() {
            return;
        }
        from.flow_control().release_capacity(data.len()).unwrap();
    }
    let Ok(sent) = from.trailers().await else { return };
    let mut trailers = trailers();
    trailers.extend(sent.unwrap_or_default());
    to.send_trailers(trailers).unwrap();
}

/// The frames a peer answers to a request with these header fields besides the pseudo-header fields, each as type and payload, until its
/// stream ends. Written by hand: h2's own client sends nothing malformed.
pub(super) async fn raw_answer(address: SocketAddr, name: &str, value: &str) -> Vec<(u8, Vec<u8>)> {
    let mut block = vec![0x82, 0x86, 0x84, 0x00]; // GET, http, /, and a literal field (RFC 7541 §6.2.2)
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend_from_slice(text.as_bytes());
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let length = u8::try_from(block.len()).unwrap();
    stream.write_all(&[0, 0, length, 0x01, 0x05, 0, 0, 0, 1]).await.unwrap(); // HEADERS, END_HEADERS and END_STREAM
    stream.write_all(&block).await.unwrap();
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        soon(stream.read_exact(&mut head)).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        soon(stream.read_exact(&mut payload)).await.unwrap();
        let (kind, ends, of_stream) = (head[3], head[3] <= 1 && head[4] & 1 != 0, head[8] == 1);
        frames.push((kind, payload));
        if of_stream && (ends || kind == 3) {
            return frames;
        }
    }
}

/// An application that answers its first request with a head and `data`, and drops its connection when told.
pub(super) async fn dying_application(data: &'static [u8], die: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, mut respond) = loop {
            // A connection for bytes, which the proxy lets go unused, comes first where a busy machine makes the caller seem silent.
            let Ok(mut connection) = h2::server::handshake(listener.accept().await.unwrap().0).await else { continue };
            let Some(Ok((_request, respond))) = connection.accept().await else { continue };
            break (connection, respond);
        };
        let mut to = respond.send_response(ok(), false).unwrap();
        to.send_data(Bytes::from_static(data), false).unwrap();
        tokio::select! {
            _ = connection.accept() => {}
            () = die.notified() => {}
        }
    });
    address
}
