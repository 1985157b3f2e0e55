//! Heads of requests and responses: read by httparse, judged by RFC 9112, never more lenient than any reader behind.
//!
//! A head borrows from the connection's input. What the exchange must know of it afterwards is small and copied: the facts.

mod request;
mod response;
mod target;

pub(crate) use request::request;
pub(crate) use response::response;
pub(crate) use target::Target;

use super::BadMessage;
use super::fields::Fields;

/// Largest head accepted.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header lines of a head. [`Fields`] has a bit for each.
const FIELDS_MAX: usize = 128;

/// How long a body is, as its head says (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0: no body.
    Length(u64),
    /// In chunks.
    Chunked,
    /// To the end of the connection; responses only.
    Close,
}

/// A request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a str,
    /// As sent.
    pub(crate) target: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) fields: Fields<'a>,
    pub(crate) facts: RequestFacts,
}

/// What of a request outlives its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFacts {
    pub(crate) framing: Framing,
    /// Whether the caller keeps its connection for further requests.
    pub(crate) keep_alive: bool,
    /// HTTP/1.0: no chunks, no interim responses.
    pub(crate) old: bool,
    /// HEAD: the response has no body, whatever its head says.
    pub(crate) head_only: bool,
    /// What else the connection is to carry after the answer.
    pub(crate) switch: Switch,
    /// Whether the caller waits for 100 (Continue) before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether repeating it does no harm (RFC 9110 §9.2.2).
    pub(crate) idempotent: bool,
    /// Whether errors must be gRPC statuses.
    pub(crate) grpc: bool,
}

/// Whether a request asks to make the connection a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    No,
    /// To another protocol, which 101 agrees to (RFC 9110 §7.8).
    Upgrade,
    /// A tunnel, which 2xx agrees to (RFC 9110 §9.3.6).
    Connect,
}

/// A response's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) reason: &'a str,
    pub(crate) fields: Fields<'a>,
    pub(crate) facts: ResponseFacts,
}

/// What of a response outlives its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseFacts {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// Whether it agrees to what the request asked for: bytes follow, and no message.
    pub(crate) switched: bool,
    /// The length its head declares, also where no body follows.
    pub(crate) declared: Option<u64>,
    /// Whether the connection serves further requests.
    pub(crate) keep_alive: bool,
    /// Whether a proxy says that its application saw nothing of the request.
    pub(crate) unprocessed: bool,
}

fn malformed(cause: httparse::Error) -> BadMessage {
    BadMessage::new(match cause {
        httparse::Error::TooManyHeaders => return BadMessage::too_large("the head has more than 128 lines"),
        httparse::Error::HeaderName => "the name of a header is malformed",
        httparse::Error::HeaderValue => "the value of a header is malformed",
        httparse::Error::NewLine => "a line of the head does not end with CRLF",
        httparse::Error::Version => "the version is not HTTP/1.0 or HTTP/1.1",
        httparse::Error::Status => "the status line is malformed",
        httparse::Error::Token => "the request line is malformed",
    })
}

/// The answer about input in which no head ends.
///
/// # Errors
/// There is too much of it.
pub(super) fn none_yet<T>(input: &[u8]) -> Result<Option<T>, BadMessage> {
    if input.len() >= HEAD_BYTES_MAX { Err(BadMessage::too_large("the head is longer than 64 KiB")) } else { Ok(None) }
}

/// Whether a line ends without a carriage return, which one reader takes for the end of a line and another for a part of a value. No
/// early exit: so the compiler compares sixteen bytes at a time.
pub(super) fn has_bare_line_feed(head: &[u8]) -> bool {
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare = |found, (before, byte): (&u8, &u8)| found | (*byte == b'\n' && *before != b'\r');
    pairs.fold(head.first() == Some(&b'\n'), bare)
}

/// Whether a method is not what it seems to some: names are case-sensitive (RFC 9110 §9.1), those in use have capitals only, and there are
/// servers that take `get` for `GET`, which a rule about methods does not.
pub(crate) fn has_small_letters(method: &str) -> bool {
    method.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Whether the connection persists (RFC 9112 §9.3).
fn keep_alive(fields: &Fields<'_>, minor: u8) -> bool {
    if minor == 0 { fields.keep_alive_asked && !fields.close_asked } else { !fields.close_asked }
}

#[cfg(test)]
mod tests;
