//! The least HTTP/1.1 client that reads our own programs: one request a connection, blocking, under a deadline.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

/// Longest wait for a byte: our programs answer in milliseconds, on a machine that may be busy for seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where connections come from: this machine's network, or a node's.
pub trait Connect {
    /// Opens a TCP connection.
    fn connect(&self, address: SocketAddr) -> Result<TcpStream>;
}

/// This machine's own network.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Connect for Machine {
    fn connect(&self, address: SocketAddr) -> Result<TcpStream> {
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("cannot connect to {address}"))
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines as received.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The body as JSON of an answer that must be a success.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.status / 100 != 2 {
            bail!("status {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends one request and reads its answer to the end.
pub fn exchange(network: &dyn Connect, address: SocketAddr, request: &Request) -> Result<Answer> {
    let mut stream = network.connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    stream.write_all(&request.bytes(address)).with_context(|| format!("cannot write to {address}"))?;
    read(&mut stream).with_context(|| format!("{} {} at {address}", request.method, request.path))
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a str,
}

impl<'a> Request<'a> {
    /// A request without body.
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, headers: &[], body: "" }
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text += &format!("host: {address}\r\n");
        }
        for (name, value) in self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body);
        text.into_bytes()
    }
}

/// Reads an answer whose end is told by its length, its chunks or the end of the connection (RFC 9112 §6.3).
pub fn read(stream: &mut impl Read) -> Result<Answer> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&bytes, false) {
            return Ok(answer);
        }
        let length = stream.read(&mut chunk).context("no answer")?;
        if length == 0 {
            return parse(&bytes, true).context("the connection ended before the answer did");
        }
        bytes.extend_from_slice(&chunk[..length]);
    }
}

fn parse(bytes: &[u8], ended: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head, body: Vec::new() };
    let rest = &bytes[end + 4..];
    if let Some(length) = answer.header("content-length") {
        answer.body = rest.get(..length.parse().ok()?)?.to_vec();
    } else if answer.header("transfer-encoding").is_some() {
        answer.body = unchunk(rest)?;
    } else if ended {
        answer.body = rest.to_vec();
    } else {
        return None;
    }
    Some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        rest = &rest[line + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_by_length_by_chunks_or_with_the_connection() {
        let body =
            |text: &str| read(&mut text.as_bytes()).map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi and more").expect("length"), "hi");
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        assert_eq!(body(chunked).expect("chunks"), "hi!");
        assert_eq!(body("HTTP/1.1 503 No\r\nx-a: b\r\n\r\nhi").expect("end"), "hi");
        assert!(body("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi").is_err());
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let answer =
            read(&mut "HTTP/1.1 403 F\r\nTulle-Error: denied; code=TUL4001\r\ncontent-length: 0\r\n\r\n".as_bytes());
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.header("tulle-error")), (403, Some("denied; code=TUL4001")));
    }
}
