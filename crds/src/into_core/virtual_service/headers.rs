//! Changes of header lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderName, HeaderValue};
use tulle_core::codes::Code;
use tulle_core::route::filter::Edits;
use tulle_core::route::filter::headers::{HeaderEdits, editable};

use crate::into_core::error::{At, SpecError};
use crate::into_core::value::nothing_else;
use crate::virtual_service as written;

/// What `headers` of a destination or a rule changes.
pub(super) fn edits(written: Option<&written::Headers>) -> Result<Edits, SpecError> {
    let Some(written) = written else { return Ok(Edits::default()) };
    let read = || {
        nothing_else(&written.rest)?;
        let (request, authority) = operations(written.request.as_ref(), true).at("request")?;
        let (response, _) = operations(written.response.as_ref(), false).at("response")?;
        Ok(Edits { authority, request, response })
    };
    read().at("headers")
}

/// The authority of a request.
pub(super) fn authority(text: &str) -> Result<Authority, SpecError> {
    let wrong = || {
        let reason = format!("{text:?} is not a host with or without a port");
        SpecError::new(Code::InvalidValue, reason)
    };
    Authority::try_from(text).ok().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)
}

type Read = (Option<Arc<HeaderEdits>>, Option<Authority>);

/// Removed first, then set, then added, as in Istio. `is_request`: the authority may be set like a header.
fn operations(written: Option<&written::HeaderOperations>, is_request: bool) -> Result<Read, SpecError> {
    let Some(written) = written else { return Ok((None, None)) };
    nothing_else(&written.rest)?;
    let mut edits = HeaderEdits::default();
    for (index, name) in written.remove.iter().enumerate() {
        edits.remove(header_name(name).at(format_args!("remove[{index}]"))?);
    }
    let mut authority = None;
    lines(&written.set, "set", is_request, &mut authority, |name, value| edits.set(name, value))?;
    lines(&written.add, "add", is_request, &mut authority, |name, value| edits.add(name, value))?;
    let edits = if edits.is_empty() { None } else { Some(Arc::new(edits)) };
    Ok((edits, authority))
}

fn lines(
    written: &BTreeMap<String, String>,
    field: &str,
    is_request: bool,
    authority: &mut Option<Authority>,
    mut put: impl FnMut(HeaderName, HeaderValue),
) -> Result<(), SpecError> {
    for (name, text) in written {
        let mut read = || {
            if is_request && (name == ":authority" || name.eq_ignore_ascii_case("host")) {
                // A request has one, so adding one and replacing it are the same.
                *authority = Some(self::authority(text)?);
            } else {
                put(header_name(name)?, header_value(text)?);
            }
            Ok(())
        };
        read().at(format_args!("{field}[{name}]"))?;
    }
    Ok(())
}

fn header_name(name: &str) -> Result<HeaderName, SpecError> {
    let wrong = |reason: String, remedy: &str| SpecError::new(Code::InvalidValue, reason).remedy(remedy);
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        return Err(wrong("is a part of the message and no header".into(), "use rewrite for path and authority"));
    }
    let read = HeaderName::try_from(name).map_err(|_| wrong("is no header name".into(), "correct the name"))?;
    editable(&read).map_err(|why| wrong(format!("{why}, so no rule can change it"), "remove it"))?;
    Ok(read)
}

/// A value as it is sent. `%%` is a percent sign; Envoy's substitutions are refused, for they would be sent as they are written.
fn header_value(text: &str) -> Result<HeaderValue, SpecError> {
    let wrong = |reason: &str, remedy: &str| SpecError::new(Code::InvalidValue, reason).remedy(remedy);
    let plain = text.replace("%%", "");
    if plain.contains('%') {
        return Err(wrong(
            "has a substitution (%…%), which is not supported by this release",
            "write the value itself, and %% for a percent sign",
        ));
    }
    if text.trim_matches([' ', '\t']) != text {
        return Err(wrong("begins or ends with a space, which no receiver would see", "remove the space"));
    }
    HeaderValue::try_from(text.replace("%%", "%"))
        .map_err(|_| wrong("has a line end or another control character", "remove it"))
}
