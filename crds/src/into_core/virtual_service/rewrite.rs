//! Another path or authority for the destination.

use http::uri::Authority;
use tulle_core::codes::Code;
use tulle_core::route::filter::rewrite::{BadRegexRewrite, RegexRewrite, Rewrite};

use super::headers::authority;
use super::redirect::{both, new_path};
use crate::into_core::error::{At, SpecError};
use crate::into_core::value::nothing_else;
use crate::virtual_service as written;

/// `rewrite` of a rule: the path's and the authority's.
pub(super) fn rewrite(written: &written::Rewrite) -> Result<(Option<Rewrite>, Option<Authority>), SpecError> {
    nothing_else(&written.rest)?;
    let path = match (&written.uri, &written.uri_regex_rewrite) {
        (None, None) => None,
        (Some(uri), None) => {
            new_path(uri).at("uri")?;
            Some(Rewrite::Path(uri.as_str().into()))
        }
        (None, Some(regex)) => Some(Rewrite::Regex(by_regex(regex).at("uriRegexRewrite")?)),
        (Some(_), Some(_)) => return both("uri and uriRegexRewrite"),
    };
    let authority = written.authority.as_deref().map(authority).transpose().at("authority")?;
    if path.is_none() && authority.is_none() {
        let remedy = "give uri, uriRegexRewrite or authority";
        return Err(SpecError::new(Code::MissingField, "rewrites nothing").remedy(remedy));
    }
    Ok((path, authority))
}

fn by_regex(written: &written::RegexRewrite) -> Result<RegexRewrite, SpecError> {
    nothing_else(&written.rest)?;
    RegexRewrite::new(&written.pattern, &written.rewrite).map_err(|error| match error {
        BadRegexRewrite::Pattern(error) => SpecError::new(Code::InvalidPattern, error.to_string()).under("match"),
        error => SpecError::new(Code::InvalidValue, error.to_string()).under("rewrite"),
    })
}
