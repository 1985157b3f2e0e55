//! Which trace a request belongs to, and what the next hop is told of it: W3C Trace Context Level 1, and B3 in both its forms.
//!
//! A proxy takes part as any other node does: what it reads as its parent is the caller's span, and what it writes is its own, in the
//! form the caller used. What cannot be read is as if it were not there, and a new trace begins (W3C §4.3).

mod b3;
mod id;
mod w3c;

pub use id::{SpanId, TraceId};

use crate::route::RequestView;

/// How a trace is worded in header lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `traceparent`, beside a `tracestate` that is nobody's but its writers'.
    W3c,
    /// `b3`.
    B3Single,
    /// `x-b3-traceid` and its like.
    B3Multi,
}

/// What a caller says about recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// It records.
    Yes,
    /// It does not.
    No,
    /// It records, and wants everybody to (B3 "Debug").
    Debug,
}

/// What a caller says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// In which words.
    pub format: Format,
    /// Trace and caller's span; `None`: it names none that can be used.
    pub parent: Option<(TraceId, SpanId)>,
    /// Whether it records; `None`: it leaves that to the next hop.
    pub sampled: Option<Sampled>,
    /// Flags of W3C that travel on unread.
    flags: u8,
    /// Whether the trace's id has 64 bits only, as old B3 has.
    short: bool,
}

/// What the next hop is told in place of what the caller said: that this proxy's span is its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The trace.
    pub trace: TraceId,
    /// This proxy's span.
    pub span: SpanId,
    /// The caller's; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    format: Format,
    sampled: Sampled,
    flags: u8,
    short: bool,
}

/// Reads what a request says: W3C where it has a `traceparent`, else `b3`, else B3 in several headers.
pub fn read(request: &impl RequestView) -> Incoming {
    only(request, ("traceparent", Format::W3c), w3c::parse)
        .or_else(|| only(request, ("b3", Format::B3Single), b3::parse_single))
        .or_else(|| b3::read_multi(request))
        .unwrap_or(Incoming::NONE)
}

/// What the one line of this name says; several contradict each other, and cannot be used. `None`: there is none.
fn only(
    request: &impl RequestView,
    (name, format): (&str, Format),
    parse: impl FnOnce(&[u8]) -> Option<Incoming>,
) -> Option<Incoming> {
    let mut lines = request.header(name);
    let first = lines.next()?;
    let incoming = if lines.next().is_some() { None } else { parse(first) };
    Some(incoming.unwrap_or(Incoming::unusable(format)))
}

impl Incoming {
    /// Nothing was said.
    const NONE: Incoming = Incoming::unusable(Format::W3c);

    /// Something was said that cannot be used.
    const fn unusable(format: Format) -> Incoming {
        Incoming { format, parent: None, sampled: None, flags: 0, short: false }
    }

    /// Whether the request is recorded: as the caller says, else as `draw` has it.
    pub fn is_sampled(&self, draw: impl FnOnce() -> bool) -> bool {
        match self.sampled {
            Some(Sampled::Yes | Sampled::Debug) => true,
            Some(Sampled::No) => false,
            None => draw(),
        }
    }

    /// Whether the next hop can be told just what the caller said: it says all there is to say, and nobody records.
    pub fn may_pass(&self, sampled: bool) -> bool {
        // A lone `b3: 0` has no trace to tell, and none is needed (B3 "Single Header").
        !sampled && self.sampled == Some(Sampled::No) && (self.parent.is_some() || self.format != Format::W3c)
    }

    /// What the next hop is told. `ids` are uniform draws for the ids of a trace and a span.
    pub fn continued(&self, sampled: bool, ids: [u64; 3]) -> Outgoing {
        let [span, high, low] = ids;
        let sampled = match (sampled, self.sampled) {
            (true, Some(Sampled::Debug)) => Sampled::Debug,
            (true, _) => Sampled::Yes,
            (false, _) => Sampled::No,
        };
        Outgoing {
            trace: self.parent.map_or_else(|| TraceId::drawn(high, low), |(trace, _)| trace),
            span: SpanId::drawn(span),
            parent: self.parent.map(|(_, span)| span),
            format: self.format,
            sampled,
            flags: self.flags,
            short: self.short,
        }
    }
}

impl Outgoing {
    /// Whether this proxy records it.
    pub fn is_sampled(&self) -> bool {
        self.sampled != Sampled::No
    }

    /// Names of the lines that are replaced, in lower case. A `tracestate` belongs to its trace and ends with it (W3C §4.3).
    pub fn replaced(&self) -> &'static [&'static str] {
        match self.format {
            Format::W3c if self.parent.is_some() => &["traceparent"],
            Format::W3c => &["traceparent", "tracestate"],
            Format::B3Single => &["b3"],
            Format::B3Multi => &b3::NAMES,
        }
    }

    /// Whether a line of this name, in any case, is replaced.
    pub fn replaces(&self, name: &str) -> bool {
        self.replaced().iter().any(|own| name.eq_ignore_ascii_case(own))
    }

    /// Hands each line that takes their place to `put`, its name in lower case.
    pub fn lines(&self, mut put: impl FnMut(&'static str, &[u8])) {
        match self.format {
            Format::W3c => put("traceparent", &w3c::word(self)),
            Format::B3Single => put("b3", b3::word_single(self).as_bytes()),
            Format::B3Multi => b3::word_multi(self, put),
        }
    }
}

#[cfg(test)]
mod tests;
