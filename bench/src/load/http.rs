//! The least HTTP/1.1 client: one connection, one request at a time, bodies counted and thrown away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::To;

/// An answer that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Room for a head, and the unit of reading bodies.
const BUFFER_BYTES: usize = 256 * 1024;

/// A connection that stays open.
pub(super) struct Connection {
    to: To,
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens one.
    pub(super) fn open(to: &To) -> Result<Self> {
        Self::with_buffer(to, BUFFER_BYTES)
    }

    /// Opens one that needs `buffer` bytes of memory.
    pub(super) fn with_buffer(to: &To, buffer: usize) -> Result<Self> {
        let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: tulle-bench\r\n\r\n", to.path, to.address);
        Ok(Self { to: to.clone(), stream: connect(to)?, request: request.into_bytes(), buffer: vec![0; buffer] })
    }

    /// Opens it anew after an error.
    pub(super) fn reopen(&mut self) -> Result<()> {
        self.stream = connect(&self.to)?;
        Ok(())
    }

    /// One request and its whole answer, status 200 with a length; returns the length of the body.
    pub(super) fn get(&mut self) -> Result<u64> {
        self.stream.write_all(&self.request)?;
        let mut filled = 0;
        let end = loop {
            filled += self.read(filled)?;
            if let Some(at) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let length = body_length(&self.buffer[..end])?;
        let mut left = length.checked_sub((filled - end) as u64).context("more bytes than the body has")?;
        while left > 0 {
            left = left.checked_sub(self.read(0)? as u64).context("more bytes than the body has")?;
        }
        Ok(length)
    }

    fn read(&mut self, from: usize) -> Result<usize> {
        match self.stream.read(&mut self.buffer[from..])? {
            0 => bail!("the connection ended, or a head is longer than {} bytes", self.buffer.len()),
            length => Ok(length),
        }
    }
}

fn connect(to: &To) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to.address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// The length a head tells, of an answer that must be a 200.
fn body_length(head: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(head).context("a head that is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("answered {status:?}");
    }
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .context("the answer has no length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_with_a_length_is_an_answer() {
        assert_eq!(body_length(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n").expect("good"), 1024);
        assert!(body_length(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(body_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
