//! Pages of other origins that may call.

use http::HeaderValue;
use tulle_core::codes::Code;
use tulle_core::route::StringMatch;
use tulle_core::route::filter::cors::CorsPolicy;

use super::condition::comparison;
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::{duration, nothing_else};
use crate::virtual_service as written;

/// `corsPolicy` of a rule.
pub(super) fn cors(written: &written::CorsPolicy) -> Result<CorsPolicy, SpecError> {
    nothing_else(&written.rest)?;
    let max_age = written.max_age.as_deref().map(duration).transpose().at("maxAge")?;
    Ok(CorsPolicy {
        origins: origins(written)?,
        methods: list(&written.allow_methods, "allowMethods")?,
        headers: list(&written.allow_headers, "allowHeaders")?,
        expose: list(&written.expose_headers, "exposeHeaders")?,
        max_age: max_age.map(|age| HeaderValue::from(age.as_secs())),
        credentials: written.allow_credentials,
        forward_unmatched: match written.unmatched_preflights.as_deref() {
            None | Some("UNSPECIFIED" | "FORWARD") => true,
            Some("IGNORE") => false,
            Some(other) => {
                let reason = format!("{other:?} is no way to treat a preflight");
                return Err(SpecError::new(Code::InvalidValue, reason)
                    .remedy("use FORWARD or IGNORE")
                    .under("unmatchedPreflights"));
            }
        },
    })
}

fn origins(written: &written::CorsPolicy) -> Result<Vec<StringMatch>, SpecError> {
    if written.allow_origins.is_empty() {
        return Ok(written.allow_origin.iter().map(|origin| StringMatch::Exact(origin.as_str().into())).collect());
    }
    each("allowOrigins", &written.allow_origins, comparison)
}

/// One header of many values; `None`: it is not told.
fn list(written: &[String], field: &str) -> Result<Option<HeaderValue>, SpecError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte); // RFC 9110 §5.6.2
    for (index, word) in written.iter().enumerate() {
        if word.is_empty() || !word.bytes().all(token) {
            let reason = format!("{word:?} is no method or header name");
            return Err(SpecError::new(Code::InvalidValue, reason).under(format_args!("{field}[{index}]")));
        }
    }
    let joined = written.join(",");
    Ok(if joined.is_empty() { None } else { HeaderValue::try_from(joined).ok() })
}
