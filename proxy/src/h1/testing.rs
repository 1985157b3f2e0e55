//! Both ends of HTTP/1 for tests, byte by byte: what is asserted is what is on the wire.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// What ends with the deadline at the latest.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("within the deadline")
}

/// One end of a connection, and what was read of it.
pub(crate) struct End {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl End {
    pub(crate) async fn dial(address: SocketAddr) -> End {
        End { stream: soon(TcpStream::connect(address)).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        soon(self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// A head, up to and with its empty line.
    pub(crate) async fn head(&mut self) -> String {
        self.next_head().await.expect("a head")
    }

    /// A head, or `None` at the end of the connection.
    pub(crate) async fn next_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                return Some(String::from_utf8(self.read.drain(..at + 4).collect()).unwrap());
            }
            if self.fill().await == 0 {
                assert!(self.read.is_empty(), "broken off: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        }
    }

    /// Exactly so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.fill().await > 0, "ended after {:?}", String::from_utf8_lossy(&self.read));
        }
        self.read.drain(..count).collect()
    }

    /// This text next.
    pub(crate) async fn expect(&mut self, text: &str) {
        let bytes = self.bytes(text.len()).await;
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// A body in chunks, however they were cut, and its trailer section.
    pub(crate) async fn chunked(&mut self) -> (String, String) {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await, 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.bytes(size).await);
            self.expect("\r\n").await;
        }
        let mut trailers = String::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return (String::from_utf8(body).unwrap(), trailers),
                line => trailers += &format!("{line}\r\n"),
            }
        }
    }

    async fn line(&mut self) -> String {
        while !self.read.windows(2).any(|window| window == b"\r\n") {
            assert!(self.fill().await > 0, "ended after {:?}", String::from_utf8_lossy(&self.read));
        }
        let at = self.read.windows(2).position(|window| window == b"\r\n").unwrap();
        let line = self.read.drain(..at + 2).take(at).collect();
        String::from_utf8(line).unwrap()
    }

    /// Everything up to the end of the connection; a reset is one, too.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await > 0 {}
        std::mem::take(&mut self.read)
    }

    async fn fill(&mut self) -> usize {
        soon(self.stream.read_buf(&mut self.read)).await.unwrap_or(0)
    }
}

/// An application that serves each connection with `serve`.
pub(crate) async fn application<F>(serve: impl Fn(End) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(End { stream, read: Vec::new() }));
        }
    });
    address
}

/// The path of a request's head.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).expect("a target")
}

/// An answer of this text.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Serves requests without body: each is answered with its path.
pub(crate) async fn echo_paths(mut end: End) {
    while let Some(head) = end.next_head().await {
        end.send(ok(path(&head))).await;
    }
}
