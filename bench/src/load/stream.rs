//! A server of gRPC streams: HTTP/2 without TLS, small messages, each written by itself as soon as the window allows.
//!
//! Only what HTTP/2 (RFC 9113) demands of such a server is here: settings, pings and windows are answered, a request's headers are
//! not looked at.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Bytes of one message with its prefix of five (gRPC over HTTP/2, "Length-Prefixed-Message").
pub(crate) const MESSAGE_BYTES: usize = 128;
/// Messages of one stream.
pub(crate) const MESSAGES: usize = 1000;

/// Connections served at a time; more wait.
const CONNECTIONS: usize = 64;
/// A client that does not read has left.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_BYTES: usize = 9;
/// The first window of a connection, and of its streams where settings say nothing else (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Serves for ever. The threads are there from the start and never end: CPU time of threads that have ended cannot be read any more.
pub(super) fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let listener = &listener;
            scope.spawn(move || serve_in_turn(listener));
        }
    });
    Ok(())
}

/// One connection after the other: this thread reads, another sends.
fn serve_in_turn(listener: &TcpListener) {
    let (current, changed) = (Mutex::new(None), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| send_for_ever(&current, &changed));
        loop {
            // The end of a connection is its client's business, whatever it was.
            let _ = listener.accept().map_err(Into::into).and_then(|(stream, _)| read(stream, &current, &changed));
            *lock(&current) = None;
        }
    });
}

fn lock(current: &Mutex<Option<Connection>>) -> MutexGuard<'_, Option<Connection>> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send_for_ever(current: &Mutex<Option<Connection>>, changed: &Condvar) {
    let mut connection = lock(current);
    loop {
        match connection.as_mut().map(Connection::send_a_round) {
            Some(Ok(true)) => {
                drop(connection); // the reader's turn
                connection = lock(current);
            }
            Some(Err(_)) => *connection = None,
            Some(Ok(false)) | None => connection = changed.wait(connection).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

fn read(mut stream: TcpStream, current: &Mutex<Option<Connection>>, changed: &Condvar) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    if preface != PREFACE {
        bail!("not HTTP/2");
    }
    *lock(current) = Some(Connection::new(stream.try_clone()?)?);
    let (mut pending, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            length => pending.extend_from_slice(&chunk[..length]),
        }
        match lock(current).as_mut() {
            Some(connection) => connection.take_all(&mut pending)?,
            None => return Ok(()),
        }
        changed.notify_one();
    }
}

/// What is known of a connection.
struct Connection {
    stream: TcpStream,
    window: i64,
    first_window: i64,
    open: BTreeMap<u32, Open>,
    message: Vec<u8>,
}

/// A stream that is being answered.
struct Open {
    window: i64,
    left: usize,
}

/// One frame (RFC 9113 §4.1).
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Connection {
    fn new(mut stream: TcpStream) -> Result<Self> {
        stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        let mut message = vec![b'x'; MESSAGE_BYTES];
        message[..5].copy_from_slice(&[0, 0, 0, 0, (MESSAGE_BYTES - 5) as u8]);
        let (window, first_window) = (WINDOW, WINDOW);
        Ok(Self { stream, window, first_window, open: BTreeMap::new(), message })
    }

    fn take_all(&mut self, pending: &mut Vec<u8>) -> Result<()> {
        while let Some(frame) = parse(pending)? {
            self.take(frame)?;
        }
        Ok(())
    }

    /// A message on each stream that may have one; whether there was any.
    fn send_a_round(&mut self) -> Result<bool> {
        let mut sent = false;
        let length = MESSAGE_BYTES as i64;
        for (id, open) in &mut self.open {
            if open.left == 0 || open.window < length || self.window < length {
                continue;
            }
            self.stream.write_all(&frame(DATA, 0, *id, &self.message))?;
            open.window -= length;
            self.window -= length;
            open.left -= 1;
            sent = true;
        }
        for (id, _) in self.open.extract_if(.., |_, open| open.left == 0) {
            self.stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, &trailers()))?;
        }
        Ok(sent)
    }

    fn take(&mut self, frame_in: Frame) -> Result<()> {
        let Frame { kind, flags, stream, payload } = frame_in;
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    if u16::from_be_bytes([setting[0], setting[1]]) == INITIAL_WINDOW_SIZE {
                        self.resize(i64::from(u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]])));
                    }
                }
                self.stream.write_all(&frame(SETTINGS, ACK, 0, &[]))?;
            }
            PING if flags & ACK == 0 => self.stream.write_all(&frame(PING, ACK, 0, &payload))?,
            WINDOW_UPDATE => {
                let by = i64::from(u32::from_be_bytes(payload.as_slice().try_into().context("a window update")?));
                match self.open.get_mut(&stream) {
                    _ if stream == 0 => self.window += by,
                    Some(open) => open.window += by,
                    None => {}
                }
            }
            HEADERS => {
                self.open.insert(stream, Open { window: self.first_window, left: MESSAGES });
                self.stream.write_all(&frame(HEADERS, END_HEADERS, stream, &headers()))?;
            }
            DATA => {
                // What a request says is not read; its bytes are given back at once.
                let length = u32::try_from(payload.len())?.to_be_bytes();
                if !payload.is_empty() {
                    self.stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &length))?;
                }
            }
            RST_STREAM => drop(self.open.remove(&stream)),
            GOAWAY => bail!("the client leaves"),
            _ => {}
        }
        Ok(())
    }

    /// A change of the first window moves those of open streams too (RFC 9113 §6.9.2).
    fn resize(&mut self, first: i64) {
        let by = first - self.first_window;
        self.first_window = first;
        self.open.values_mut().for_each(|open| open.window += by);
    }
}

/// `:status: 200` from the static table, and a content type as a literal (RFC 7541 §6).
fn headers() -> Vec<u8> {
    [&[0x88, 0x0f, 0x10, 16][..], b"application/grpc"].concat()
}

/// `grpc-status: 0` as a literal.
fn trailers() -> Vec<u8> {
    [&[0x00, 11][..], b"grpc-status", &[1], b"0"].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Takes one whole frame off `bytes`.
fn parse(bytes: &mut Vec<u8>) -> Result<Option<Frame>> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    if length > 1 << 20 {
        bail!("a frame of {length} bytes");
    }
    if bytes.len() < HEADER_BYTES + length {
        return Ok(None);
    }
    let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & 0x7fff_ffff;
    let (kind, flags) = (header[3], header[4]);
    let whole: Vec<u8> = bytes.drain(..HEADER_BYTES + length).collect();
    Ok(Some(Frame { kind, flags, stream, payload: whole[HEADER_BYTES..].to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let mut bytes = [frame(PING, ACK, 0, b"12345678"), frame(DATA, 0, 5, b"x")].concat();
        let last = bytes.pop().expect("not empty");
        let ping = Frame { kind: PING, flags: ACK, stream: 0, payload: b"12345678".to_vec() };
        assert_eq!(parse(&mut bytes).expect("sound"), Some(ping));
        assert_eq!(parse(&mut bytes).expect("sound"), None, "the second is not whole yet");
        bytes.push(last);
        assert_eq!(parse(&mut bytes).expect("sound").map(|frame| (frame.stream, frame.payload)), Some((5, vec![b'x'])));
        assert!(bytes.is_empty());
    }
}
