//! Sends a vector on a connection of its own, and takes what comes until the end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tulle_conformance::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS,
    settings,
};

/// Nothing takes so long; without it, a lost answer would take forever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the caller got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Statuses of final answers; of HTTP/2, 200 or 0.
    pub(super) statuses: Vec<u16>,
    /// Whether the last is the mesh's own.
    pub(super) ours: bool,
    /// Whether nothing came in [`PATIENCE`].
    pub(super) late: bool,
    /// Ports of the connection: the caller's and the back end's.
    pub(super) ports: (u16, u16),
}

/// Sends bytes of HTTP/1, says that there is no more, and reads to the end. `cut`: in two writes, the first so long.
pub(super) fn http1(address: SocketAddr, bytes: &[u8], cut: usize) -> Result<Answers> {
    let mut stream = connect(address)?;
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    // Who is refused may be cut off while it still sends.
    let _ = stream.write_all(first).and_then(|()| stream.write_all(second));
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let late = stream.read_to_end(&mut said).is_err_and(|error| is_late(&error));
    Ok(Answers { late, ports: (stream.local_addr()?.port(), address.port()), ..answers(&said) })
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Takes a connection's answers apart: bodies here are short, and those to HEAD are known by what follows.
fn answers(said: &[u8]) -> Answers {
    let text: String = said.iter().copied().map(char::from).collect();
    let mut answers = Answers::default();
    let mut rest = text.as_str();
    while let Some((head, behind)) = rest.strip_prefix("HTTP/1.").and_then(|rest| rest.split_once("\r\n\r\n")) {
        let status = head.get(2..5).and_then(|status| status.parse().ok()).unwrap_or(0);
        let head = head.to_ascii_lowercase();
        rest = behind;
        if (100..200).contains(&status) {
            continue;
        }
        answers.statuses.push(status);
        answers.ours = head.contains("\r\ntulle-error:");
        // The next answer begins where the body ends.
        rest = rest.find("HTTP/1.").map_or("", |next| &rest[next..]);
    }
    answers
}

/// Sends the request that lines describe (`http2.txt`) on a stream of a new connection of HTTP/2.
pub(super) fn http2(address: SocketAddr, lines: &[u8]) -> Result<Answers> {
    let mut stream = connect(address)?;
    let mut bytes = [PREFACE, &settings(&[])].concat();
    bytes.extend(message(lines));
    let _ = stream.write_all(&bytes);
    let mut answers = Answers::default();
    let mut frames = Frames::default();
    let mut output = stream.try_clone()?;
    let ended = frames.until(&mut stream, |frame| {
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            let _ = output.write_all(&frames::frame(SETTINGS, ACK, 0, &[]));
        }
        let on_stream = frame.stream == 1 && matches!(frame.kind, HEADERS | DATA);
        if frame.stream == 1 && frame.kind == HEADERS && answers.statuses.is_empty() {
            // :status 200, behind changes of the table's size (RFC 7541 §6.1, §6.3).
            let first = frame.payload.iter().find(|byte| **byte & 0xe0 != 0x20);
            answers.statuses.push(if first == Some(&0x88) { 200 } else { 0 });
        }
        frame.kind == GOAWAY || frame.kind == RST_STREAM || on_stream && frame.flags & END_STREAM != 0
    });
    answers.late = ended.is_err_and(|error| is_late(&error));
    Ok(answers)
}

/// Frames of stream 1: fields, data, trailers.
fn message(lines: &[u8]) -> Vec<u8> {
    let parts = parts(lines);
    let last = parts.len().saturating_sub(1);
    let frame = |(index, part): (usize, &Part)| {
        let end = if index == last { END_STREAM } else { 0 };
        match part {
            Part::Data(data) => frames::frame(DATA, end, 1, data),
            Part::Fields(fields) => block(end, fields),
        }
    };
    parts.iter().enumerate().flat_map(frame).collect()
}

/// A header block in frames of at most 16 KiB (RFC 9113 §6.10).
fn block(end: u8, fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            frames::integer(&mut block, 7, 0, text.len());
            block.extend(text);
        }
    }
    let pieces: Vec<_> = block.chunks(16 * 1024).collect();
    let frame = |(index, piece): (usize, &&[u8])| {
        let done = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
        let (kind, flags) = if index == 0 { (HEADERS, done | end) } else { (CONTINUATION, done) };
        frames::frame(kind, flags, 1, piece)
    };
    pieces.iter().enumerate().flat_map(frame).collect()
}

/// A part of a message of HTTP/2.
#[derive(Debug)]
pub(super) enum Part {
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    Data(Vec<u8>),
}

/// What lines describe. A line feed within a value is written as `\n`, so the lines are those of the file: see [`super::vectors`].
pub(super) fn parts(lines: &[u8]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in lines.split(|byte| *byte == super::vectors::END).filter(|line| !line.is_empty()) {
        if let Some(data) = line.strip_prefix(b"+ ") {
            parts.push(Part::Data(data.to_vec()));
            continue;
        }
        // The first colon may be a pseudo-field's.
        let at = line.windows(2).skip(1).position(|pair| pair == b": ").map_or(line.len(), |at| at + 1);
        let (name, value) = line.split_at(at);
        let field = (name.to_vec(), value.get(2..).unwrap_or_default().to_vec());
        match parts.last_mut() {
            Some(Part::Fields(fields)) => fields.push(field),
            _ => parts.push(Part::Fields(vec![field])),
        }
    }
    parts
}
