//! What the server says, as bytes: what an answer begins with, and what is then repeated.

use tulle_conformance::flood::repeat;
use tulle_conformance::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NEWEST, PING, block, bomb, field, frame, headers, reset,
    settings, window_update,
};

/// PUSH_PROMISE (RFC 9113 §6.6).
const PUSH_PROMISE: u8 = 5;
/// The fields of an answer.
const OK: [(&str, &str); 1] = [(":status", "200")];

/// Version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    H1,
    H2,
}

/// A kind of answer. The sidecar has to end the connection while the server still talks.
#[derive(Clone, Copy)]
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) version: Version,
    /// What comes first.
    pub(super) opening: fn() -> Vec<u8>,
    /// What comes then, over and over. Empty: nothing.
    pub(super) burst: fn() -> Vec<u8>,
}

const fn h1(name: &'static str, opening: fn() -> Vec<u8>, burst: fn() -> Vec<u8>) -> Attack {
    Attack { name, version: Version::H1, opening, burst }
}

const fn h2(name: &'static str, opening: fn() -> Vec<u8>, burst: fn() -> Vec<u8>) -> Attack {
    Attack { name, version: Version::H2, opening, burst }
}

pub(super) const ATTACKS: &[Attack] = &[
    h1("a status line without end", || b"HTTP/1.1 200 ".to_vec(), || repeat(b"y")),
    h1("a value without end", || b"HTTP/1.1 200 OK\r\nx: ".to_vec(), || repeat(b"y")),
    h1("lines without end", || b"HTTP/1.1 200 OK\r\n".to_vec(), || repeat(b"x: y\r\n")),
    h1("interim answers without end", Vec::new, || repeat(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")),
    h1("two lengths", || b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_vec(), Vec::new),
    h1("trailers without end", || chunked("0\r\n"), || repeat(b"x: y\r\n")),
    h1("a chunk size without end", || chunked(""), || repeat(b"0")),
    h1("chunk extensions without end", || chunked("1;"), || repeat(b"x")),
    h1("answers to nothing", || plain("hello"), || repeat(&plain("poison"))),
    h2(
        "CONTINUATION without end",
        || frame(HEADERS, 0, 1, &block(&OK)),
        || repeat(&frame(CONTINUATION, 0, 1, &field("x", "y"))),
    ),
    h2(
        "CONTINUATION without end, empty",
        || frame(HEADERS, 0, 1, &block(&OK)),
        || repeat(&frame(CONTINUATION, 0, 1, &[])),
    ),
    h2("HPACK bomb", || frame(HEADERS, 0, 1, &bomb(&OK)), || repeat(&frame(CONTINUATION, 0, 1, &[NEWEST; 16 * 1024]))),
    h2("interim answers without end", Vec::new, || repeat(&headers(1, 0, &[(":status", "103")]))),
    h2("pushes", Vec::new, || repeat(&frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &block(&OK)].concat()))),
    h2("trailers without end", head, || repeat(&frame(HEADERS, 0, 1, &field("x", "y")))),
    h2("resets of streams that are none", Vec::new, || repeat(&reset(3, 8))),
    h2("empty DATA frames", head, || repeat(&frame(DATA, 0, 1, &[]))),
    h2("ping flood", Vec::new, || repeat(&frame(PING, 0, 0, &[7; 8]))),
    h2("settings flood", Vec::new, || repeat(&settings(&[]))),
    h2("window updates that nobody needs", Vec::new, || repeat(&window_update(0, 1))),
    h2("frames of unknown types", Vec::new, || repeat(&frame(0xfa, 0, 0, &[]))),
    h2("answers to nothing", || headers(1, END_STREAM, &OK), || repeat(&headers(1, END_STREAM, &OK))),
];

/// A whole answer.
pub(super) fn plain(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn chunked(rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{rest}").into_bytes()
}

/// A head that a body follows.
fn head() -> Vec<u8> {
    headers(1, 0, &OK)
}
