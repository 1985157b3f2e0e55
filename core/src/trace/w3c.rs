//! `traceparent` (W3C Trace Context Level 1, §3.2).

use super::id::{digits, hex};
use super::{Format, Incoming, Outgoing, Sampled, SpanId, TraceId};

/// `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;
/// The caller may have recorded (§3.2.2.5.1).
const SAMPLED: u8 = 1;
/// Level 2: the trace's id is random. It says something of the trace, so it stays with it.
const RANDOM: u8 = 2;

/// What a `traceparent` says, if it can be used.
pub(super) fn parse(value: &[u8]) -> Option<Incoming> {
    let (known, further) = value.split_at_checked(LENGTH)?;
    let [version] = hex(&known[..2])?;
    // A version to come may have more to say behind another dash; 255 is none (§3.2.2.1, §4.3).
    let whole = match version {
        0 => further.is_empty(),
        255 => false,
        _ => further.is_empty() || further[0] == b'-',
    };
    if !whole || known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
        return None;
    }
    let parent = (TraceId::parse(&known[3..35])?, SpanId::parse(&known[36..52])?);
    let [flags] = hex(&known[53..])?;
    Some(Incoming {
        format: Format::W3c,
        parent: Some(parent),
        sampled: Some(if flags & SAMPLED == 0 { Sampled::No } else { Sampled::Yes }),
        flags: flags & RANDOM,
        short: false,
    })
}

/// Version 0, whatever came: it is what this proxy knows (§4.3).
pub(super) fn word(outgoing: &Outgoing) -> [u8; LENGTH] {
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    digits(outgoing.trace.as_bytes(), &mut value[3..35]);
    digits(outgoing.span.as_bytes(), &mut value[36..52]);
    let sampled = if outgoing.sampled == Sampled::No { 0 } else { SAMPLED };
    digits(&[outgoing.flags | sampled], &mut value[53..]);
    value
}
