//! Answers that a rule gives itself.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tulle_core::codes::Code;
use tulle_core::path::{BadPath, normalize};
use tulle_core::route::filter::direct::{BODY_BYTES_MAX, DirectResponse, has_no_body};
use tulle_core::route::filter::redirect::{Redirect, RedirectPath, RedirectPort};

use super::headers::authority;
use crate::into_core::error::{At, SpecError};
use crate::into_core::value::{nothing_else, port};
use crate::virtual_service as written;

/// `redirect` of a rule; `prefixes`: whether each of its conditions has a prefix.
pub(super) fn redirect(written: &written::Redirect, prefixes: bool) -> Result<Redirect, SpecError> {
    nothing_else(&written.rest)?;
    let read = Redirect {
        status: code(written.redirect_code).at("redirectCode")?,
        scheme: written.scheme.as_deref().map(scheme).transpose().at("scheme")?,
        authority: written
            .authority
            .as_deref()
            .map(authority)
            .transpose()
            .at("authority")?
            .map(|it| it.as_str().into()),
        port: redirect_port(written)?,
        path: path(written, prefixes)?,
    };
    if read == (Redirect { status: read.status, ..unchanged() }) {
        return Err(SpecError::new(Code::MissingField, "changes nothing, so callers would be sent in a circle")
            .remedy("give a path, an authority, a port or a scheme"));
    }
    Ok(read)
}

fn unchanged() -> Redirect {
    let (port, path) = (RedirectPort::default(), RedirectPath::default());
    Redirect { status: 301, scheme: None, authority: None, port, path }
}

fn code(written: Option<i64>) -> Result<u16, SpecError> {
    match written.unwrap_or(301) {
        code @ (301..=303 | 307 | 308) => Ok(code as u16),
        code => Err(SpecError::new(Code::InvalidValue, format!("{code} is not a redirect"))
            .remedy("use 301, 302, 303, 307 or 308")),
    }
}

fn scheme(text: &str) -> Result<std::sync::Arc<str>, SpecError> {
    match text {
        "http" | "https" => Ok(text.into()),
        _ => {
            Err(SpecError::new(Code::InvalidValue, format!("{text:?} is no scheme of HTTP"))
                .remedy("use http or https"))
        }
    }
}

fn redirect_port(written: &written::Redirect) -> Result<RedirectPort, SpecError> {
    match (written.port, written.derive_port.as_deref()) {
        (None, None) => Ok(RedirectPort::OfAuthority),
        (Some(number), None) => port(number).at("port").map(RedirectPort::Number),
        (None, Some("FROM_PROTOCOL_DEFAULT")) => Ok(RedirectPort::OfScheme),
        (None, Some("FROM_REQUEST_PORT")) => Ok(RedirectPort::Dialled),
        (None, Some(other)) => Err(SpecError::new(Code::InvalidValue, format!("{other:?} is no source of a port"))
            .remedy("use FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT")
            .under("derivePort")),
        (Some(_), Some(_)) => both("port and derivePort"),
    }
}

fn path(written: &written::Redirect, prefixes: bool) -> Result<RedirectPath, SpecError> {
    match (written.uri.as_deref(), written.prefix_rewrite.as_deref()) {
        (None, None) => Ok(RedirectPath::Same),
        (Some(uri), None) => {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            new_path(path).at("uri")?;
            let bad = query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#');
            if bad {
                let reason = format!("{query:?} is no query");
                return Err(SpecError::new(Code::InvalidValue, reason).under("uri"));
            }
            Ok(RedirectPath::Whole(uri.into()))
        }
        (None, Some(_)) if !prefixes => {
            Err(SpecError::new(Code::InvalidValue, "needs a prefix in each match of the rule, and one has none")
                .remedy("give match.uri.prefix, or use uri")
                .under("prefixRewrite"))
        }
        (None, Some(prefix)) => new_path(prefix).at("prefixRewrite").map(|()| RedirectPath::Prefix(prefix.into())),
        (Some(_), Some(_)) => both("uri and prefixRewrite"),
    }
}

/// A path that takes the place of another: in normal form, so that what is written is what is sent.
pub(super) fn new_path(path: &str) -> Result<(), SpecError> {
    let reason = match normalize(path) {
        _ if !path.starts_with('/') => format!("{path:?} cannot be used: {}", BadPath::NotAbsolute),
        Ok(normal) if normal == path => return Ok(()),
        Ok(normal) => format!("{path:?} is not in normal form, which is {normal:?}"),
        Err(error) => format!("{path:?} cannot be used: {error}"),
    };
    Err(SpecError::new(Code::InvalidValue, reason))
}

pub(super) fn both<T>(fields: &str) -> Result<T, SpecError> {
    Err(SpecError::new(Code::InvalidValue, format!("has both {fields}")).remedy("give one of them"))
}

/// `directResponse` of a rule.
pub(super) fn direct(written: &written::DirectResponse) -> Result<DirectResponse, SpecError> {
    nothing_else(&written.rest)?;
    let status = status(written.status).at("status")?;
    let body = written.body.as_ref().map(body).transpose().at("body")?.unwrap_or_default();
    if has_no_body(status) && !body.is_empty() {
        let reason = format!("an answer of status {status} has no body");
        return Err(SpecError::new(Code::InvalidValue, reason).remedy("remove the body").under("body"));
    }
    Ok(DirectResponse { status, body: body.into() })
}

/// A final status.
pub(super) fn status(written: i64) -> Result<u16, SpecError> {
    u16::try_from(written).ok().filter(|status| (200..600).contains(status)).ok_or_else(|| {
        SpecError::new(Code::InvalidValue, format!("{written} is no final status")).remedy("use 200 to 599")
    })
}

fn body(written: &written::Body) -> Result<Vec<u8>, SpecError> {
    nothing_else(&written.rest)?;
    let (field, body) = match (&written.string, &written.bytes) {
        (Some(text), None) => ("string", text.as_bytes().to_vec()),
        (None, Some(coded)) => {
            let body = BASE64_STANDARD.decode(coded);
            let wrong = |_| SpecError::new(Code::InvalidValue, "is not base64").under("bytes");
            ("bytes", body.map_err(wrong)?)
        }
        (None, None) => return Err(SpecError::new(Code::MissingField, "has neither string nor bytes")),
        (Some(_), Some(_)) => return both("string and bytes"),
    };
    if body.len() > BODY_BYTES_MAX {
        let reason = format!("is longer than {BODY_BYTES_MAX} bytes");
        return Err(SpecError::new(Code::InvalidValue, reason).remedy("serve it from a Service").under(field));
    }
    Ok(body)
}
