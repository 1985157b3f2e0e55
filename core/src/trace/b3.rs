//! B3 propagation, as Zipkin's clients speak it: <https://github.com/openzipkin/b3-propagation>.

use super::{Format, Incoming, Outgoing, Sampled, SpanId, TraceId};
use crate::route::RequestView;

/// The headers of the form that has several.
pub(super) const NAMES: [&str; 5] = [TRACE, SPAN, PARENT, SAMPLED, FLAGS];
const TRACE: &str = "x-b3-traceid";
const SPAN: &str = "x-b3-spanid";
const PARENT: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// What a `b3` says, if it can be used: `<trace>-<span>[-<sampled>[-<parent>]]`, or the decision alone.
pub(super) fn parse_single(value: &[u8]) -> Option<Incoming> {
    let nothing = Incoming::unusable(Format::B3Single);
    if let Some(sampled) = decision(value) {
        return Some(Incoming { sampled: Some(sampled), ..nothing });
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let (trace, short) = trace_id(parts.next()?)?;
    let span = SpanId::parse(parts.next()?)?;
    let sampled = parts.next().map(|sampled| decision(sampled).ok_or(())).transpose().ok()?;
    if parts.next().is_some_and(|parent| SpanId::parse(parent).is_none()) || parts.next().is_some() {
        return None;
    }
    Some(Incoming { parent: Some((trace, span)), sampled, short, ..nothing })
}

/// What the several headers say; `None`: there are none.
pub(super) fn read_multi(request: &impl RequestView) -> Option<Incoming> {
    let first = |name: &str| request.header(name).next();
    let (trace, span, sampled, flags) = (first(TRACE), first(SPAN), first(SAMPLED), first(FLAGS));
    if trace.is_none() && sampled.is_none() && flags.is_none() {
        return None;
    }
    let ids = trace.and_then(trace_id).zip(span.and_then(SpanId::parse));
    let sampled = match (flags, sampled) {
        (Some(b"1"), _) => Some(Sampled::Debug),
        // Words of clients from before the specification.
        (_, Some(b"true")) => Some(Sampled::Yes),
        (_, Some(b"false")) => Some(Sampled::No),
        (_, Some(value @ (b"0" | b"1"))) => decision(value),
        _ => None,
    };
    Some(Incoming {
        parent: ids.map(|((trace, _), span)| (trace, span)),
        short: ids.is_some_and(|((_, short), _)| short),
        sampled,
        ..Incoming::unusable(Format::B3Multi)
    })
}

/// A trace's id, and whether it has 16 digits only.
fn trace_id(digits: &[u8]) -> Option<(TraceId, bool)> {
    match digits.len() {
        16 => Some((TraceId::parse_short(digits)?, true)),
        _ => Some((TraceId::parse(digits)?, false)),
    }
}

fn decision(value: &[u8]) -> Option<Sampled> {
    match value {
        b"1" => Some(Sampled::Yes),
        b"0" => Some(Sampled::No),
        b"d" => Some(Sampled::Debug),
        _ => None,
    }
}

pub(super) fn word_single(outgoing: &Outgoing) -> String {
    let sampled = match outgoing.sampled {
        Sampled::Yes => '1',
        Sampled::No => '0',
        Sampled::Debug => 'd',
    };
    let mut value = format!("{}-{}-{sampled}", trace_digits(outgoing), outgoing.span);
    if let Some(parent) = outgoing.parent {
        value += &format!("-{parent}");
    }
    value
}

pub(super) fn word_multi(outgoing: &Outgoing, mut put: impl FnMut(&'static str, &[u8])) {
    put(TRACE, trace_digits(outgoing).as_bytes());
    put(SPAN, outgoing.span.to_string().as_bytes());
    if let Some(parent) = outgoing.parent {
        put(PARENT, parent.to_string().as_bytes());
    }
    match outgoing.sampled {
        Sampled::Yes => put(SAMPLED, b"1"),
        Sampled::No => put(SAMPLED, b"0"),
        // Debug implies sampled, which is then not said.
        Sampled::Debug => put(FLAGS, b"1"),
    }
}

/// As long as the caller had it: clients of 64 bits would not know it again.
fn trace_digits(outgoing: &Outgoing) -> String {
    let digits = outgoing.trace.to_string();
    if outgoing.short { digits[16..].to_owned() } else { digits }
}
