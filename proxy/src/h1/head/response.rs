//! Heads of responses: what ends them, and what may follow.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::{FIELDS_MAX, Framing, RequestFacts, ResponseFacts, ResponseHead, Switch, keep_alive, malformed, none_yet};
use crate::h1::BadMessage;
use crate::h1::fields::{Field, Fields};

/// Reads a response's head from the front of `input`, as [`request`](fn@super::request) does; `asked` is what it answers.
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
    let Status::Complete(length_of_head) = parsed.map_err(malformed)? else { return none_yet(input) };
    let (Some(status), Some(minor)) = (head.code, head.version) else {
        return Err(BadMessage::new("the status line is incomplete"));
    };
    if status < 100 {
        return Err(BadMessage::new("the status code is below 100"));
    }
    let reason = head.reason.unwrap_or_default();
    let fields = Fields::classify(head.headers)?;
    let switched = switches(&fields, status, asked)?;
    // A length has no meaning in these, and some readers take one for a body (RFC 9110 section 8.6).
    let bodiless = status < 200 || status == 204 || switched;
    let length = fields.content_length()?;
    let declared = length.filter(|_| !bodiless);
    // A server that frames a body where none can be may send it, too: nothing that follows can be trusted.
    let framed = bodiless && (fields.has(Field::TransferEncoding) || length.is_some_and(|length| length > 0));
    let facts = ResponseFacts {
        status,
        framing: if bodiless { Framing::Length(0) } else { response_framing(&fields, declared, status, minor, asked)? },
        switched,
        declared,
        keep_alive: keep_alive(&fields, minor) && !framed,
        unprocessed: fields.has(Field::Unprocessed),
    };
    Ok(Some((length_of_head, use_it(&ResponseHead { reason, fields, facts }))))
}

/// Whether the response turns the connection into a stream of bytes.
fn switches(fields: &Fields<'_>, status: u16, asked: &RequestFacts) -> Result<bool, BadMessage> {
    match (asked.switch, status) {
        (Switch::Upgrade, 101) if fields.upgrade_asked && fields.has(Field::Upgrade) => Ok(true),
        (Switch::Connect, 200..300) => Ok(true),
        (_, 101) => Err(BadMessage::new("the response changes the protocol, which was not asked for or is not named")),
        _ => Ok(false),
    }
}

fn response_framing(
    fields: &Fields<'_>,
    declared: Option<u64>,
    status: u16,
    minor: u8,
    asked: &RequestFacts,
) -> Result<Framing, BadMessage> {
    if asked.head_only || status == 304 {
        return Ok(Framing::Length(0));
    }
    match (fields.has(Field::TransferEncoding), declared) {
        (true, Some(_)) => Err(BadMessage::new("the response has both Transfer-Encoding and Content-Length")),
        (true, None) if minor == 1 && fields.is_chunked() => Ok(Framing::Chunked),
        (true, None) => Err(BadMessage::new("the Transfer-Encoding of the response is not exactly chunked")),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::Close),
    }
}
