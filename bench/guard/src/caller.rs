//! The caller: one request after the other on one connection, or on many at once.

use std::net::SocketAddr;

use anyhow::{bail, ensure};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GET: &[u8] = b"GET /items/7?page=2 HTTP/1.1\r\nHost: catalog.shop\r\nUser-Agent: guard/1.0\r\nAccept: */*\r\n\
                     x-user: somebody\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
const POST: &[u8] = b"POST /items HTTP/1.1\r\nHost: catalog.shop\r\nUser-Agent: guard/1.0\r\nAccept: */*\r\n\
                      Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"name\": \"teapot\"} .";
/// Connections of a caller that asks on many at once.
const CROWD: usize = 16;
/// Length of an answer's body on HTTP/1.
const BODY: usize = 1024;

/// See the module.
pub(crate) enum Caller {
    H1 {
        stream: TcpStream,
        request: &'static [u8],
    },
    /// Each round asks on every connection before it reads an answer, so that requests are under way together.
    Crowd {
        streams: Vec<TcpStream>,
    },
    H2 {
        sender: h2::client::SendRequest<Bytes>,
        uri: http::Uri,
    },
}

impl Caller {
    /// Connects to the Service.
    pub(crate) async fn connect(scenario: &str, service: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(service).await?;
        stream.set_nodelay(true)?;
        match scenario {
            "h1-get" => Ok(Self::H1 { stream, request: GET }),
            "h1-post" => Ok(Self::H1 { stream, request: POST }),
            "h1-crowd" => {
                let mut streams = vec![stream];
                for _ in 1..CROWD {
                    let stream = TcpStream::connect(service).await?;
                    stream.set_nodelay(true)?;
                    streams.push(stream);
                }
                Ok(Self::Crowd { streams })
            }
            "h2-unary" => {
                let (sender, connection) = h2::client::handshake(stream).await?;
                tokio::task::spawn_local(connection);
                Ok(Self::H2 { sender, uri: "http://catalog.shop/items/7".parse()? })
            }
            unknown => bail!("no scenario is called {unknown}"),
        }
    }

    /// Sends so many requests, each after the answer to the one before it on its connection.
    pub(crate) async fn send(&mut self, requests: u32) -> anyhow::Result<()> {
        let mut left = requests as usize;
        while left > 0 {
            left -= match self {
                Self::H1 { stream, request } => {
                    stream.write_all(request).await?;
                    answer(stream).await?;
                    1
                }
                Self::Crowd { streams } => {
                    let count = streams.len().min(left);
                    for stream in &mut streams[..count] {
                        stream.write_all(GET).await?;
                    }
                    for stream in &mut streams[..count] {
                        answer(stream).await?;
                    }
                    count
                }
                Self::H2 { sender, uri } => {
                    http2(sender, uri).await?;
                    1
                }
            }
        }
        Ok(())
    }
}

/// Reads an answer to its end.
async fn answer(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(count > 0, "the connection ended within an answer");
        filled += count;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        ensure!(buffer.starts_with(b"HTTP/1.1 200 "), "not answered: {}", buffer[..filled].escape_ascii());
        if filled == head + 4 + BODY {
            return Ok(());
        }
    }
}

async fn http2(sender: &h2::client::SendRequest<Bytes>, uri: &http::Uri) -> anyhow::Result<()> {
    let mut ready = sender.clone().ready().await?;
    let request = http::Request::post(uri.clone())
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // Under callgrind the first call, which opens connections, takes seconds.
        .header("grpc-timeout", "1M")
        .body(())?;
    let (response, mut send) = ready.send_request(request, false)?;
    send.send_data(Bytes::from_static(&[b'x'; 128]), true)?;
    let response = response.await?;
    ensure!(response.status() == 200, "not answered: {}", response.status());
    ensure!(!response.headers().contains_key("tulle-error"), "not answered: {:?}", response.headers());
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?;
    ensure!(trailers.is_some_and(|trailers| trailers.contains_key("grpc-status")), "an answer without trailers");
    Ok(())
}
