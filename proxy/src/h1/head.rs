//! Heads of requests and responses: read by httparse, judged by RFC 9112, never more lenient than any reader behind.
//!
//! A head borrows from the connection's input. What the exchange must know of it afterwards is small and copied: the facts.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::BadMessage;
use super::fields::{Field, Fields};

/// Largest head accepted.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header lines of a head.
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
    /// Whether it asks to change protocol (RFC 9110 §7.8).
    pub(crate) upgrade: bool,
    /// Whether repeating it does no harm (RFC 9110 §9.2.2).
    pub(crate) idempotent: bool,
    /// Whether errors must be gRPC statuses.
    pub(crate) grpc: bool,
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
    /// The length its head declares, also where no body follows.
    pub(crate) declared: Option<u64>,
    /// Whether the connection serves further requests.
    pub(crate) keep_alive: bool,
    /// Whether a proxy says that its application saw nothing of the request.
    pub(crate) unprocessed: bool,
}

/// Reads a request's head from the front of `input`: its length and what `use_it` makes of it, or `None` when it is not complete.
///
/// # Errors
/// The head is malformed or ambiguous.
pub(crate) fn request<T>(
    input: &[u8],
    use_it: impl FnOnce(&RequestHead<'_>) -> T,
) -> Result<Option<(usize, T)>, BadMessage> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut head, input, &mut fields);
    let Status::Complete(length) = parsed.map_err(malformed)? else { return partial(input) };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(BadMessage("the request line is incomplete"));
    };
    let fields = Fields::classify(head.headers)?;
    let facts = RequestFacts {
        framing: request_framing(&fields, minor)?,
        keep_alive: keep_alive(&fields, minor),
        old: minor == 0,
        head_only: method == "HEAD",
        upgrade: minor == 1 && fields.upgrade_asked && fields.has(Field::Upgrade),
        idempotent: matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"),
        grpc: method == "POST" && fields.values("content-type").any(|value| value.starts_with(b"application/grpc")),
    };
    match fields.count(Field::Host) {
        0 if minor == 1 => return Err(BadMessage("the request has no Host (RFC 9112 section 3.2)")),
        0 | 1 => {}
        _ => return Err(BadMessage("the request has more than one Host (RFC 9112 section 3.2)")),
    }
    Ok(Some((length, use_it(&RequestHead { method, target, fields, facts }))))
}

/// Reads a response's head from the front of `input`, as [`request`] does; `asked` is what it answers.
///
/// # Errors
/// The head is malformed or ambiguous.
pub(crate) fn response<T>(
    input: &[u8],
    asked: &RequestFacts,
    use_it: impl FnOnce(&ResponseHead<'_>) -> T,
) -> Result<Option<(usize, T)>, BadMessage> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, input, &mut fields);
    let Status::Complete(length) = parsed.map_err(malformed)? else { return partial(input) };
    let (Some(status), Some(minor)) = (head.code, head.version) else {
        return Err(BadMessage("the status line is incomplete"));
    };
    let reason = head.reason.unwrap_or_default();
    let fields = Fields::classify(head.headers)?;
    let declared = fields.content_length()?;
    let facts = ResponseFacts {
        status,
        framing: response_framing(&fields, declared, status, minor, asked)?,
        declared,
        keep_alive: keep_alive(&fields, minor),
        unprocessed: fields.has(Field::Unprocessed),
    };
    Ok(Some((length, use_it(&ResponseHead { reason, fields, facts }))))
}

fn malformed(cause: httparse::Error) -> BadMessage {
    BadMessage(match cause {
        httparse::Error::TooManyHeaders => "the head has more than 128 lines",
        httparse::Error::HeaderName => "the name of a header is malformed",
        httparse::Error::HeaderValue => "the value of a header is malformed",
        httparse::Error::NewLine => "a line of the head does not end with CRLF",
        httparse::Error::Version => "the version is not HTTP/1.0 or HTTP/1.1",
        httparse::Error::Status => "the status line is malformed",
        httparse::Error::Token => "the request line is malformed",
    })
}

fn partial<T>(input: &[u8]) -> Result<Option<T>, BadMessage> {
    if input.len() >= HEAD_BYTES_MAX { Err(BadMessage("the head is longer than 64 KiB")) } else { Ok(None) }
}

/// Whether the connection persists (RFC 9112 §9.3).
fn keep_alive(fields: &Fields<'_>, minor: u8) -> bool {
    if minor == 0 { fields.keep_alive_asked && !fields.close_asked } else { !fields.close_asked }
}

/// RFC 9112 §6.1, §6.3: whatever two readers might frame differently is refused.
fn request_framing(fields: &Fields<'_>, minor: u8) -> Result<Framing, BadMessage> {
    match (fields.has(Field::TransferEncoding), fields.content_length()?) {
        (true, Some(_)) => Err(BadMessage("the request has both Transfer-Encoding and Content-Length")),
        (true, None) if minor == 0 => Err(BadMessage("an HTTP/1.0 request has Transfer-Encoding")),
        (true, None) if fields.is_chunked() => Ok(Framing::Chunked),
        (true, None) => Err(BadMessage("the Transfer-Encoding of the request is not exactly chunked")),
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

fn response_framing(
    fields: &Fields<'_>,
    declared: Option<u64>,
    status: u16,
    minor: u8,
    asked: &RequestFacts,
) -> Result<Framing, BadMessage> {
    if asked.head_only || status < 200 || matches!(status, 204 | 304) {
        return Ok(Framing::Length(0));
    }
    match (fields.has(Field::TransferEncoding), declared) {
        (true, Some(_)) => Err(BadMessage("the response has both Transfer-Encoding and Content-Length")),
        (true, None) if minor == 1 && fields.is_chunked() => Ok(Framing::Chunked),
        (true, None) => Err(BadMessage("the Transfer-Encoding of the response is not exactly chunked")),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::Close),
    }
}

/// A request target in its parts (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Of the absolute form: it replaces `Host`.
    pub(crate) authority: Option<&'a str>,
    pub(crate) path: &'a str,
    /// Without `?`.
    pub(crate) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes a target apart. A fragment, which has no place in it, is dropped.
    ///
    /// # Errors
    /// Neither origin, absolute nor asterisk form.
    pub(crate) fn parse(target: &'a str) -> Result<Self, BadMessage> {
        let target = target.split_once('#').map_or(target, |(target, _)| target);
        let (authority, rest) = if target.starts_with('/') || target == "*" {
            (None, target)
        } else {
            let rest = strip_scheme(target).ok_or(BadMessage("the request target is neither a path nor a URI"))?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let authority = &rest[..end];
            if authority.is_empty() || authority.contains('@') {
                return Err(BadMessage("the authority of the request target is empty or names a user"));
            }
            (Some(authority), &rest[end..])
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Ok(Self { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

#[cfg(test)]
mod tests;
