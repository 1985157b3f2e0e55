//! Heads of requests: whatever two readers might take for different requests is refused.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use tulle_core::authority::Authority;

use super::{
    FIELDS_MAX, Framing, RequestFacts, RequestHead, Switch, has_bare_line_feed, has_small_letters, keep_alive,
    malformed, none_yet,
};
use crate::h1::BadMessage;
use crate::h1::fields::{Field, Fields};

/// Bytes of empty lines before a request: RFC 9112 §2.2 asks to ignore at least one.
const EMPTY_LINES_MAX: usize = 4;

/// Reads a request's head from the front of `input`: its length and what `use_it` makes of it, or `None` when it is not complete.
///
/// # Errors
/// The head is malformed or ambiguous.
pub(crate) fn request<T>(
    input: &[u8],
    use_it: impl FnOnce(&RequestHead<'_>) -> T,
) -> Result<Option<(usize, T)>, BadMessage> {
    if input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count() > EMPTY_LINES_MAX {
        return Err(BadMessage::new("more than two empty lines precede the request"));
    }
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut head, input, &mut fields);
    let Status::Complete(length) = parsed.map_err(malformed)? else { return none_yet(input) };
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Err(BadMessage::new("the request line is incomplete"));
    };
    if has_small_letters(method) {
        return Err(BadMessage::new("the method has small letters, which some servers read as capitals"));
    }
    if has_bare_line_feed(&input[..length]) {
        return Err(BadMessage::new("a line of the head does not end with CRLF"));
    }
    let fields = Fields::classify(head.headers)?;
    let host = host(&fields, minor)?;
    let facts = RequestFacts {
        framing: request_framing(&fields, minor)?,
        keep_alive: keep_alive(&fields, minor),
        old: minor == 0,
        head_only: method == "HEAD",
        switch: switch(method, &fields, minor),
        expects_continue: minor == 1 && fields.expects_continue(),
        idempotent: matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"),
        grpc: method == "POST" && fields.values("content-type").any(|value| value.starts_with(b"application/grpc")),
    };
    if facts.switch == Switch::Connect && facts.framing != Framing::Length(0) {
        return Err(BadMessage::new("a CONNECT request has a body (RFC 9110 section 9.3.6)"));
    }
    Ok(Some((length, use_it(&RequestHead { method, target, host, fields, facts }))))
}

/// RFC 9112 §3.2: HTTP/1.1 names its host once, and nobody names it twice or so that it cannot be read.
fn host<'a>(fields: &Fields<'a>, minor: u8) -> Result<Option<&'a str>, BadMessage> {
    match fields.count(Field::Host) {
        0 if minor == 1 => return Err(BadMessage::new("the request has no Host (RFC 9112 section 3.2)")),
        0 | 1 => {}
        _ => return Err(BadMessage::new("the request has more than one Host (RFC 9112 section 3.2)")),
    }
    let Some(host) = fields.first(Field::Host) else { return Ok(None) };
    match Authority::parse(host) {
        Ok(authority) => Ok(Some(authority.text)),
        Err(_) => Err(BadMessage::new("Host is not a host with an optional port (RFC 9112 section 3.2)")),
    }
}

/// RFC 9112 §6.1, §6.3: whatever two readers might frame differently is refused.
fn request_framing(fields: &Fields<'_>, minor: u8) -> Result<Framing, BadMessage> {
    match (fields.has(Field::TransferEncoding), fields.content_length()?) {
        (true, Some(_)) => Err(BadMessage::new("the request has both Transfer-Encoding and Content-Length")),
        (true, None) if minor == 0 => Err(BadMessage::new("an HTTP/1.0 request has Transfer-Encoding")),
        (true, None) if fields.is_chunked() => Ok(Framing::Chunked),
        (true, None) => Err(BadMessage::new("the Transfer-Encoding of the request is not exactly chunked")),
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// What the request asks the connection to become. An offer of HTTP/2 is passed over, as any server may: requests within it would be
/// judged by nobody.
fn switch(method: &str, fields: &Fields<'_>, minor: u8) -> Switch {
    if method == "CONNECT" {
        return Switch::Connect;
    }
    let protocol = fields.first(Field::Upgrade).filter(|_| minor == 1 && fields.upgrade_asked);
    match protocol {
        Some(protocol) if !offers_http(protocol) && may_offer(method, protocol) => Switch::Upgrade,
        Some(_) | None => Switch::No,
    }
}

/// WebSocket is for GET (RFC 6455 §4.1). There are servers that make a GET of any other method that asks for it.
fn may_offer(method: &str, protocols: &[u8]) -> bool {
    method == "GET"
        || !protocols.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

#[cold]
fn offers_http(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"h2c") || name.eq_ignore_ascii_case(b"h2") || name.eq_ignore_ascii_case(b"http")
    })
}
