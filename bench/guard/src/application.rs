//! The application behind the sidecars: answers every HTTP/1 request on a connection with 1 KiB, and every HTTP/2 request as well.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Beginning of HTTP/2 with prior knowledge.
const PREFACE: u8 = b'P';
const HEAD: &str = "HTTP/1.1 200 OK\r\nserver: application\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\
                    cache-control: no-store\r\nx-request-id: 4f1c2d3e\r\n\r\n";

/// Starts it on the current local runtime.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.1.5:0").await?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                // A connection that ends is the caller's doing; the count of answers is checked there.
                let _ = serve(stream).await;
            });
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0; 2];
    loop {
        match stream.peek(&mut first).await? {
            // The server of a client that is silent for a moment is dialled, and left without a word once the client spoke HTTP.
            0 => return Ok(()),
            1 => {}
            _ => break,
        }
    }
    if first == [PREFACE, b'R'] { http2(stream).await } else { http1(stream).await }
}

async fn http1(mut stream: TcpStream) -> anyhow::Result<()> {
    let answer = [HEAD.as_bytes(), &[b'x'; 1024]].concat();
    let mut buffer = [0; 8192];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        // Requests of the lab come one at a time, and their bodies end with a full stop.
        let whole = buffer[..filled].ends_with(b"\r\n\r\n") || buffer[..filled].ends_with(b".");
        if whole {
            filled = 0;
            stream.write_all(&answer).await?;
        }
    }
}

async fn http2(stream: TcpStream) -> anyhow::Result<()> {
    let body = Bytes::from_static(&[b'x'; 128]);
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let body = body.clone();
        tokio::task::spawn_local(async move {
            let mut received = request.into_body();
            while let Some(data) = received.data().await {
                let length = data?.len();
                received.flow_control().release_capacity(length)?;
            }
            let response = http::Response::builder().header("content-type", "application/grpc").body(())?;
            let mut send = respond.send_response(response, false)?;
            send.send_data(body, false)?;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            send.send_trailers(trailers)?;
            anyhow::Ok(())
        });
    }
    Ok(())
}
