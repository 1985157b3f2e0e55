//! What a line, and a span beside it, says: who asked whom for what, by which rule and endpoint, how it ended and why, and where the rest of it is found.
//!
//! No query string and no header values but the identifiers that tie logs together: the others carry secrets. Whatever a caller chose is
//! escaped and cut, so that it can neither forge a line nor fill the queue.

mod span;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tulle_core::codes::{Code, Reason};
use tulle_core::route::RequestView;
use tulle_core::trace::{self, Outgoing};

use super::{AccessLog, Format};
use crate::error::FailureId;
use crate::metrics::Side;
use crate::spans::Recording;

/// Longest path written.
const PATH_BYTES_MAX: usize = 2048;
/// Longest of anything else a caller chose.
const TEXT_BYTES_MAX: usize = 256;

/// See the module. Written when the request or connection is over.
#[derive(Debug)]
pub(crate) struct Line {
    log: AccessLog,
    side: Side,
    /// `HTTP/1.1`, `HTTP/2` or `TCP`.
    protocol: &'static str,
    method: Box<str>,
    authority: Box<str>,
    path: Box<str>,
    request_id: Box<str>,
    trace_id: Box<str>,
    pub(crate) peer: String,
    pub(crate) caller: Option<SocketAddr>,
    pub(crate) service: String,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) backend: String,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) mtls: bool,
    pub(crate) attempts: u64,
    status: u16,
    pub(crate) grpc_status: Option<u32>,
    failure: Option<(Reason, Code, Option<FailureId>)>,
    answer_after: Option<Duration>,
    /// The request's span, where one is recorded.
    recording: Option<Recording>,
}

/// A value of a line.
enum Value<'a> {
    Text(&'a str),
    Shown(&'a dyn std::fmt::Display),
    Number(u64),
    Milliseconds(Duration),
    Flag(bool),
}

impl Line {
    /// A connection that carries bytes.
    pub(crate) fn of_connection(log: &AccessLog, side: Side) -> Self {
        Self {
            log: log.clone(),
            side,
            protocol: "TCP",
            method: Box::default(),
            authority: Box::default(),
            path: Box::default(),
            request_id: Box::default(),
            trace_id: Box::default(),
            peer: String::new(),
            caller: None,
            service: String::new(),
            route: None,
            backend: String::new(),
            endpoint: None,
            mtls: false,
            attempts: 0,
            status: 0,
            grpc_status: None,
            failure: None,
            answer_after: None,
            recording: None,
        }
    }

    /// A request.
    pub(crate) fn of_request(
        log: &AccessLog,
        side: Side,
        version: crate::http::Version,
        request: &impl RequestView,
        (trace, recording): (Option<&Outgoing>, Option<Recording>),
    ) -> Self {
        let header = |name: &str| {
            let value = request.header(name).next().and_then(|value| std::str::from_utf8(value).ok());
            cut(value.unwrap_or_default(), TEXT_BYTES_MAX)
        };
        Self {
            protocol: version.as_str(),
            method: cut(request.method(), TEXT_BYTES_MAX),
            authority: cut(request.authority().unwrap_or_default(), TEXT_BYTES_MAX),
            path: cut(request.path(), PATH_BYTES_MAX),
            request_id: header("x-request-id"),
            trace_id: trace_id(request, trace),
            recording,
            ..Self::of_connection(log, side)
        }
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&mut self, status: u16, after: Duration) {
        (self.status, self.answer_after) = (status, Some(after));
    }

    /// It did not end as it should.
    pub(crate) fn failed(&mut self, reason: Reason, code: Code, id: Option<FailureId>) {
        self.failure = Some((reason, code, id));
    }

    /// Writes it, and ends the span: `bytes` went there and came back.
    pub(crate) fn write(self, duration: Duration, bytes: (u64, u64)) {
        if let Some(recording) = &self.recording {
            self.end_span(recording, duration, bytes);
        }
        self.log.take(|format| {
            let mut out = String::with_capacity(512);
            let now = time::OffsetDateTime::now_utc();
            let time = timestamp(now);
            match format {
                Format::Json => {
                    let _ = write!(out, "{{\"time\":\"{time}\",\"log\":\"access\"");
                    self.fields(duration, bytes, |name, value| json(&mut out, name, &value));
                    out.push('}');
                }
                Format::Text => {
                    out.push_str(&time);
                    self.fields(duration, bytes, |name, value| text(&mut out, name, &value));
                }
            }
            out.push('\n');
            out.into_bytes()
        });
    }

    /// Every field that says something, in the order in which a person reads them.
    fn fields(&self, duration: Duration, (sent, received): (u64, u64), mut put: impl FnMut(&'static str, Value<'_>)) {
        let mut text = |name, value: &str| {
            if !value.is_empty() {
                put(name, Value::Text(value));
            }
        };
        text("side", self.side.as_str());
        text("protocol", self.protocol);
        text("method", &self.method);
        text("authority", &self.authority);
        text("path", &self.path);
        if self.status > 0 {
            put("status", Value::Number(self.status.into()));
        }
        if let Some(status) = self.grpc_status {
            put("grpc_status", Value::Number(status.into()));
        }
        if let Some((reason, code, id)) = &self.failure {
            put("reason", Value::Text(reason.as_str()));
            put("code", Value::Text(code.as_str()));
            if let Some(id) = id {
                put("id", Value::Shown(id));
            }
        }
        if let Some(after) = self.answer_after {
            put("answer_ms", Value::Milliseconds(after));
        }
        put("duration_ms", Value::Milliseconds(duration));
        put("request_bytes", Value::Number(sent));
        put("response_bytes", Value::Number(received));
        self.place(put);
    }

    /// Whence and whither.
    fn place(&self, mut put: impl FnMut(&'static str, Value<'_>)) {
        let texts = [
            ("peer", self.peer.as_str()),
            ("service", &self.service),
            ("route", self.route.as_deref().unwrap_or_default()),
            ("backend", &self.backend),
        ];
        for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            put(name, Value::Text(value));
        }
        for (name, address) in [("caller", &self.caller), ("endpoint", &self.endpoint)] {
            if let Some(address) = address {
                put(name, Value::Shown(address));
            }
        }
        put("mtls", Value::Flag(self.mtls));
        if self.attempts > 1 {
            put("attempts", Value::Number(self.attempts));
        }
        for (name, value) in [("request_id", &self.request_id), ("trace_id", &self.trace_id)] {
            if !value.is_empty() {
                put(name, Value::Text(value));
            }
        }
    }
}

/// The trace a request belongs to, as it says or as it was told; empty where nobody says one.
fn trace_id(request: &impl RequestView, told: Option<&Outgoing>) -> Box<str> {
    let said = || trace::read(request).parent.map(|(trace, _)| trace);
    told.map(|told| told.trace).or_else(said).map(|trace| trace.to_string().into()).unwrap_or_default()
}

fn cut(text: &str, limit: usize) -> Box<str> {
    if text.len() <= limit { text.into() } else { format!("{}…", &text[..text.floor_char_boundary(limit)]).into() }
}

/// RFC 3339 with milliseconds.
fn timestamp(at: time::OffsetDateTime) -> String {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second, millisecond) = (at.hour(), at.minute(), at.second(), at.millisecond());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

fn json(out: &mut String, name: &str, value: &Value<'_>) {
    let _ = write!(out, ",\"{name}\":"); // writing to a String does not fail
    match value {
        Value::Text(text) => quoted(out, text),
        Value::Shown(shown) => quoted(out, &shown.to_string()),
        other => bare(out, other),
    }
}

fn text(out: &mut String, name: &str, value: &Value<'_>) {
    let _ = write!(out, " {name}=");
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
    match value {
        Value::Text(text) if !text.bytes().all(plain) => quoted(out, text),
        other => bare(out, other),
    }
}

fn bare(out: &mut String, value: &Value<'_>) {
    let _ = match value {
        Value::Text(text) => write!(out, "{text}"),
        Value::Shown(shown) => write!(out, "{shown}"),
        Value::Number(number) => write!(out, "{number}"),
        Value::Milliseconds(time) => write!(out, "{:.3}", time.as_secs_f64() * 1e3),
        Value::Flag(flag) => write!(out, "{flag}"),
    };
}

/// A JSON string (RFC 8259 §7) of visible ASCII alone: no character in it ends a line, moves a terminal's cursor or turns its text around.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
