//! A back end of ours that takes nothing for granted: what it cannot read in the one strict way is reported, and nothing is guessed.
//!
//! It judges what the mesh sends on, and it stands behind the proxies of the garden.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::seen::Seen;

/// Far beyond what a vector takes; ends the threads of connections that their callers keep.
const PATIENCE: Duration = Duration::from_secs(120);
const EMPTY: &str = "an empty line";
/// For the rest of a connection that is not read as requests.
const REST: Duration = Duration::from_secs(2);
/// Of a head or a trailer section; the mesh lets 64 KiB pass, and proxies add to it.
const HEAD_BYTES_MAX: usize = 96 * 1024;

/// What it saw. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    requests: Vec<Seen>,
    /// What could not be read, and why.
    nonsense: Vec<String>,
}

impl Record {
    /// Serves connections until the process ends. `strict`: not from a proxy of the garden, but from the mesh.
    pub(super) fn serve(&self, listener: TcpListener, strict: bool) {
        let record = self.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let record = record.clone();
                thread::spawn(move || record.converse(&stream, strict));
            }
        });
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> Vec<Seen> {
        self.heard(|heard| heard.requests.clone())
    }

    /// What could not be read so far.
    pub(super) fn nonsense(&self) -> Vec<String> {
        self.heard(|heard| heard.nonsense.clone())
    }

    fn heard<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn converse(&self, stream: &TcpStream, strict: bool) {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut input = BufReader::new(stream);
        loop {
            match Message::read(&mut input, stream, strict) {
                Ok(None) => return,
                Ok(Some(Message { seen, close })) => {
                    let (close, cut) = (close || seen.method == "CONNECT", seen.cut);
                    let body = if seen.method == "HEAD" { "" } else { "seen" };
                    let status = if seen.method == "CONNECT" { "405 Method Not Allowed" } else { "200 OK" };
                    let end = if close { "connection: close\r\n" } else { "" };
                    self.heard(|heard| heard.requests.push(seen));
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n{end}\r\n{body}");
                    if cut || (&*stream).write_all(answer.as_bytes()).is_err() || close {
                        return;
                    }
                }
                Err(nonsense) => {
                    // Whose it is may stand in what follows.
                    let mut behind = Vec::new();
                    let _ = stream.set_read_timeout(Some(REST));
                    let _ = input.take(HEAD_BYTES_MAX as u64).read_to_end(&mut behind);
                    // Empty lines alone are no request to anybody (RFC 9112 §2.2).
                    if nonsense.starts_with(EMPTY) && behind.trim_ascii().is_empty() {
                        return;
                    }
                    let behind = behind.escape_ascii();
                    return self.heard(|heard| heard.nonsense.push(format!("{nonsense} {behind}")));
                }
            }
        }
    }
}

/// A request, and whether the connection ends with it.
struct Message {
    seen: Seen,
    close: bool,
}

impl Message {
    /// The next request; `None` at the end of the connection.
    ///
    /// # Errors
    /// What is there is no request in canonical form.
    fn read(input: &mut impl BufRead, mut output: impl Write, strict: bool) -> Result<Option<Self>, String> {
        let Some(lines) = section(input)? else { return Ok(None) };
        let nonsense = |why: &str| Err(format!("{why}: {}", lines.join("\r\n").escape_default()));
        let [start, fields @ ..] = &lines[..] else { return nonsense(EMPTY) };
        let [method, target, version] = start.split(' ').collect::<Vec<_>>()[..] else {
            return nonsense("a request line without three words");
        };
        if method.is_empty()
            || !method.bytes().all(is_token)
            || target.is_empty()
            || !matches!(version, "HTTP/1.1" | "HTTP/1.0")
        {
            return nonsense("a request line");
        }
        let Some(fields) = fields.iter().map(|line| field(line)).collect::<Option<Vec<_>>>() else {
            return nonsense("a field");
        };
        let all = |name: &str| {
            fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        let close = version == "HTTP/1.0" || all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
        let host = match all("host")[..] {
            [host] => host.to_owned(),
            // A request of HTTP/2 may name none, and HAProxy makes this of it.
            [] if version == "HTTP/1.0" || !strict => String::new(),
            _ => return nonsense("not one Host"),
        };
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (mut body, mut cut) = (Vec::new(), false);
        if !all("expect").is_empty() {
            let _ = output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match (&all("transfer-encoding")[..], &all("content-length")[..]) {
            ([], []) => {}
            ([], [length]) if digits(length) => {
                let Ok(length) = length.parse() else { return nonsense("a length") };
                cut = input.take(length).read_to_end(&mut body).is_err() || (body.len() as u64) < length;
            }
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") && version == "HTTP/1.1" => {
                cut = chunks(input, &mut body)?;
            }
            _ => return nonsense("framing"),
        }
        let (method, target) = (method.to_owned(), target.to_owned());
        Ok(Some(Self { seen: Seen { method, target, host, fields, body, cut }, close }))
    }
}

/// Lines up to an empty one; `None` when the connection ends before the first, or within: then there is no request.
fn section(input: &mut impl BufRead) -> Result<Option<Vec<String>>, String> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        let end = input.take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut line);
        if end.is_err() || !line.ends_with(b"\n") {
            return Ok(None);
        }
        bytes += line.len();
        let text: String = line.iter().copied().map(char::from).collect();
        let Some(text) =
            text.strip_suffix("\r\n").filter(|text| bytes <= HEAD_BYTES_MAX && !text.contains(['\r', '\0']))
        else {
            return Err(format!("a line: {}", text.escape_default()));
        };
        if text.is_empty() {
            return Ok(Some(lines));
        }
        lines.push(text.to_owned());
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let control = |letter: char| letter != '\t' && (letter < ' ' || letter == '\x7f');
    let good = !name.is_empty() && name.bytes().all(is_token) && !value.contains(control);
    good.then(|| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Reads chunks and trailers; whether the connection ended before.
fn chunks(input: &mut impl BufRead, body: &mut Vec<u8>) -> Result<bool, String> {
    loop {
        let mut line = Vec::new();
        if input.take(32).read_until(b'\n', &mut line).is_err() || !line.ends_with(b"\n") {
            return Ok(true);
        }
        let size = line.strip_suffix(b"\r\n").and_then(|digits| std::str::from_utf8(digits).ok());
        let size = size.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(size) = size.and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
            return Err(format!("the size of a chunk: {}", line.escape_ascii()));
        };
        if size == 0 {
            return match section(input)? {
                Some(lines) if lines.iter().any(|line| field(line).is_none()) => Err(format!("trailers: {lines:?}")),
                Some(_) => Ok(false),
                None => Ok(true),
            };
        }
        let before = body.len() as u64;
        if input.take(size).read_to_end(body).is_err() || (body.len() as u64) < before + size {
            return Ok(true);
        }
        let mut end = [0; 2];
        if input.read_exact(&mut end).is_err() {
            return Ok(true);
        }
        if end != *b"\r\n" {
            return Err(format!("the end of a chunk: {}", end.escape_ascii()));
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_canonical_is_nonsense() {
        let read = |text: &str| Message::read(&mut text.as_bytes(), std::io::sink(), true);
        let head = "POST / HTTP/1.1\r\nHost: a\r\n";
        for (rest, body) in [
            ("\r\n", ""),
            ("Content-Length: 2\r\n\r\nhi", "hi"),
            ("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: 1\r\n\r\n", "hi"),
        ] {
            let message = read(&format!("{head}{rest}")).expect("canonical").expect("a request");
            assert_eq!((message.seen.body, message.seen.cut), (body.into(), false), "{rest:?}");
        }
        for rest in [
            "Host: b\r\n\r\n",
            "A: 1\n\r\n",
            " A: 1\r\n\r\n",
            "A : 1\r\n\r\n",
            "Content-Length: +2\r\n\r\nhi",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n2;a\r\nhi\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
        ] {
            assert!(read(&format!("{head}{rest}")).is_err(), "{rest:?}");
        }
        assert!(read(&format!("{head}Content-Length: 3\r\n\r\nhi")).expect("canonical").expect("a request").seen.cut);
        assert!(read(head).expect("only short").is_none());
    }
}
