//! Heads as they are sent on: canonical lines, framing written anew, nothing that belongs to another hop.

use http::uri::Authority;
use tulle_core::route::filter::headers::HeaderEdits;

use super::fields::{Field, Fields};
use super::head::{Framing, RequestFacts, RequestHead, ResponseFacts, ResponseHead, Switch, Target};
use crate::admission::Changes;
use crate::answer::Answer;
use crate::buffer::Buffer;

/// Writes a request's head. `path` is the target's path as it was judged, `host` stands in for a missing `Host`; then a rule has its say.
pub(crate) fn request(
    out: &mut Buffer,
    head: &RequestHead<'_>,
    target: &Target<'_>,
    path: &str,
    host: &dyn std::fmt::Display,
    changes: &Changes<'_>,
) {
    // The end of a tunnel is not for a rule to move: it would be named twice, and differently.
    let tunnel = target.authority.filter(|_| head.facts.switch == Switch::Connect);
    let path = tunnel.or(changes.path).unwrap_or(path);
    let (mark, query) = target.query.map_or(("", ""), |query| ("?", query));
    extend(out, [head.method, " ", path, mark, query, " HTTP/1.1\r\n"].map(str::as_bytes));
    let authority = tunnel.or(changes.authority.map(Authority::as_str)).or(target.authority);
    match authority {
        Some(authority) => line(out, "host", authority.as_bytes()),
        None if !head.fields.has(Field::Host) => line(out, "host", host.to_string().as_bytes()),
        None => {}
    }
    let changed = changes.request.is_some() || changes.trace.is_some();
    for (field, kind) in head.fields.end_to_end() {
        // An absolute target's authority replaces Host (RFC 9112 section 3.2.2). HTTP/1.0 has no expectations (RFC 9110 section 10.1.1).
        let replaced = match kind {
            Field::ContentLength => true,
            Field::Host => authority.is_some(),
            Field::Expect => head.facts.old,
            _ => false,
        };
        if replaced {
            continue;
        }
        if !changed || changes.passes(field.name) && changes.trace.is_none_or(|trace| !trace.replaces(field.name)) {
            line(out, field.name, field.value);
        }
    }
    if let Some(trace) = changes.trace {
        trace.lines(|name, value| {
            if changes.passes(name) {
                line(out, name, value);
            }
        });
    }
    append(out, changes.request);
    match head.facts.framing {
        _ if tunnel.is_some() => {}
        Framing::Length(length) if length > 0 || head.fields.has(Field::ContentLength) => content_length(out, length),
        Framing::Chunked => out.extend(CHUNKED),
        Framing::Length(_) | Framing::Close => {}
    }
    if head.fields.takes_trailers() {
        // The option goes with the field (RFC 9110 section 10.1.4).
        out.extend(b"te: trailers\r\nconnection: te\r\n");
    }
    if head.facts.switch == Switch::Upgrade {
        upgrade(out, &head.fields);
    }
    out.extend(b"\r\n");
}

/// How the caller gets a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether its body is sent in chunks.
    pub(crate) chunked: bool,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
    /// Whether an HTTP/1.0 caller must be told that it does not.
    pub(crate) say_keep_alive: bool,
}

impl Manner {
    /// How this caller gets this answer.
    pub(crate) fn of(request: &RequestFacts, response: &ResponseFacts, last: bool) -> Self {
        let unbounded = matches!(response.framing, Framing::Chunked | Framing::Close);
        let chunked = unbounded && !request.old;
        let interim = response.status < 200;
        let close = !interim && (last || !request.keep_alive || (unbounded && !chunked));
        Self { chunked, close, say_keep_alive: request.old && !close && !interim }
    }
}

/// Writes a response's head; a rule has its say in a final one.
pub(crate) fn response(out: &mut Buffer, head: &ResponseHead<'_>, manner: Manner, edits: Option<&HeaderEdits>) {
    status_line(out, head.facts.status, head.reason);
    let edits = edits.filter(|_| head.facts.status >= 200);
    for (field, kind) in head.fields.end_to_end() {
        if kind != Field::ContentLength && edits.is_none_or(|edits| !edits.drops(field.name)) {
            line(out, field.name, field.value);
        }
    }
    append(out, edits);
    // In a response to HEAD and in a 304 the length describes what is not sent, and travels on.
    if let Some(length) = head.facts.declared {
        content_length(out, length);
    }
    if matches!(head.facts.status, 101 | 426) {
        // 426 names what the server would rather speak (RFC 9110 section 15.5.22).
        upgrade(out, &head.fields);
    }
    if !head.facts.switched {
        finish(out, manner);
    }
    out.extend(b"\r\n");
}

/// Writes the head of a response of the mesh itself.
pub(crate) fn answer(out: &mut Buffer, answer: &Answer, close: bool) {
    status_line(out, answer.status.as_u16(), answer.status.canonical_reason().unwrap_or_default());
    for (name, value) in &answer.headers {
        line(out, name.as_str(), value.as_bytes());
    }
    if !answer.has_no_body() {
        content_length(out, answer.body.len() as u64);
    }
    finish(out, Manner { chunked: false, close, say_keep_alive: false });
    out.extend(b"\r\n");
}

const CHUNKED: &[u8] = b"transfer-encoding: chunked\r\n";

fn finish(out: &mut Buffer, manner: Manner) {
    if manner.chunked {
        out.extend(CHUNKED);
    }
    if manner.close {
        out.extend(b"connection: close\r\n");
    } else if manner.say_keep_alive {
        out.extend(b"connection: keep-alive\r\n");
    }
}

fn status_line(out: &mut Buffer, status: u16, reason: &str) {
    let mut start = *b"HTTP/1.1 000 ";
    let digits = [status / 100, status / 10 % 10, status % 10].map(|digit| b'0' + (digit % 10) as u8);
    start[9..12].copy_from_slice(&digits);
    extend(out, [&start, reason.as_bytes(), b"\r\n"]);
}

/// Appends these one behind the other, which asks for room once.
fn extend<const PARTS: usize>(out: &mut Buffer, parts: [&[u8]; PARTS]) {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut space = &mut out.space(length)[..length];
    for part in parts {
        let (here, rest) = space.split_at_mut(part.len());
        here.copy_from_slice(part);
        space = rest;
    }
    out.advance(length);
}

fn line(out: &mut Buffer, name: &str, value: &[u8]) {
    let length = name.len() + 2 + value.len() + 2;
    let space = &mut out.space(length)[..length];
    let (head, rest) = space.split_at_mut(name.len());
    head.copy_from_slice(name.as_bytes());
    rest[..2].copy_from_slice(b": ");
    rest[2..2 + value.len()].copy_from_slice(value);
    rest[2 + value.len()..].copy_from_slice(b"\r\n");
    out.advance(length);
}

fn append(out: &mut Buffer, edits: Option<&HeaderEdits>) {
    for (name, value) in edits.map(HeaderEdits::appended).unwrap_or_default() {
        line(out, name.as_str(), value.as_bytes());
    }
}

fn content_length(out: &mut Buffer, length: u64) {
    let mut digits = itoa::Buffer::new();
    line(out, "content-length", digits.format(length).as_bytes());
}

fn upgrade(out: &mut Buffer, fields: &Fields<'_>) {
    if let Some(protocol) = fields.first(Field::Upgrade) {
        out.extend(b"connection: upgrade\r\n");
        line(out, "upgrade", protocol);
    }
}

#[cfg(test)]
mod tests;
