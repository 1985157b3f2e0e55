//! Conditions on a request, and the ways to compare a string.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::{RequestView, SourceMatch};

/// Largest compiled regular expression, in bytes. The engine is linear in time; this bounds its memory, so that a tenant's
/// pattern cannot fill the proxies of its callers.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// A condition; every part given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Match {
    /// The path without query, in normal form.
    pub uri: Option<StringMatch>,
    /// Compare `uri` without regard to ASCII case (exact and prefix).
    pub ignore_uri_case: bool,
    /// The method.
    pub method: Option<StringMatch>,
    /// The scheme.
    pub scheme: Option<StringMatch>,
    /// The authority.
    pub authority: Option<StringMatch>,
    /// Headers by lower-case name; a repeated header fits if any value does.
    pub headers: Vec<(Arc<str>, HeaderMatch)>,
    /// Headers that must not fit.
    pub without_headers: Vec<(Arc<str>, HeaderMatch)>,
    /// Query parameters by name, compared as sent (undecoded); a repeated parameter fits if any value does.
    pub query: Vec<(Arc<str>, QueryMatch)>,
    /// The dialled port; see [`RouteTable::seen_by`](super::RouteTable::seen_by).
    pub port: Option<u16>,
    /// The workload that calls; as well.
    pub source: Option<Arc<SourceMatch>>,
}

impl Match {
    pub(crate) fn fits(&self, request: &impl RequestView) -> bool {
        self.port.is_none()
            && self.source.is_none()
            && self.uri.as_ref().is_none_or(|uri| uri.fits_path(request.path(), self.ignore_uri_case))
            && self.method.as_ref().is_none_or(|method| method.fits(request.method().as_bytes()))
            && self.scheme.as_ref().is_none_or(|scheme| scheme.fits(request.scheme().as_bytes()))
            && self
                .authority
                .as_ref()
                .is_none_or(|wanted| request.authority().is_some_and(|got| wanted.fits(got.as_bytes())))
            && self.headers.iter().all(|(name, wanted)| wanted.fits(request.header(name)))
            && !self.without_headers.iter().any(|(name, unwanted)| unwanted.fits(request.header(name)))
            && self.query.iter().all(|(name, wanted)| wanted.fits(parameters(request.query(), name)))
    }
}

/// Values of a query parameter as sent; a parameter without `=` has the empty value.
fn parameters<'a>(query: Option<&'a str>, name: &str) -> impl Iterator<Item = &'a [u8]> {
    query.unwrap_or_default().split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name && !pair.is_empty()).then_some(value.as_bytes())
    })
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderMatch {
    /// It is there, whatever it says.
    Present,
    /// One of its values fits.
    Value(StringMatch),
}

/// A condition on a query parameter.
pub type QueryMatch = HeaderMatch;

impl HeaderMatch {
    fn fits<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            HeaderMatch::Present => values.next().is_some(),
            HeaderMatch::Value(wanted) => values.any(|value| wanted.fits(value)),
        }
    }
}

/// One way to compare a string.
#[derive(Clone, Debug, PartialEq)]
pub enum StringMatch {
    /// The whole string.
    Exact(Arc<str>),
    /// Its start.
    Prefix(Arc<str>),
    /// A regular expression over the whole string.
    Regex(FullRegex),
}

impl StringMatch {
    /// Whether bytes fit. A regular expression fits no bytes that are not UTF-8.
    pub fn fits(&self, value: &[u8]) -> bool {
        match self {
            StringMatch::Exact(exact) => value == exact.as_bytes(),
            StringMatch::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            StringMatch::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.fits(text)),
        }
    }

    fn fits_path(&self, path: &str, ignore_case: bool) -> bool {
        if !ignore_case {
            return self.fits(path.as_bytes());
        }
        match self {
            StringMatch::Exact(exact) => path.eq_ignore_ascii_case(exact),
            StringMatch::Prefix(prefix) => {
                path.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
            StringMatch::Regex(regex) => regex.fits(path),
        }
    }
}

/// A regular expression that fits whole strings only, with a bounded size.
#[derive(Clone, Debug)]
pub struct FullRegex {
    source: Arc<str>,
    compiled: Regex,
}

impl FullRegex {
    /// Compiles a pattern in RE2 syntax (the `regex` crate's dialect, which shares its guarantees).
    ///
    /// # Errors
    /// The pattern does not compile, or is too large.
    pub fn new(source: &str) -> Result<FullRegex, PatternError> {
        // Alone first: `a)|(b` must not become valid by the group that is put around it.
        compile(source)?;
        compile(&format!(r"\A(?:{source})\z")).map(|compiled| FullRegex { source: source.into(), compiled })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    fn fits(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

/// Compiles a pattern that need not fit whole strings.
pub(super) fn compile(pattern: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        // The parser's drawing of the place has many lines; its last line is the sentence.
        error => PatternError::Syntax(
            error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_string(),
        ),
    })
}

impl PartialEq for FullRegex {
    fn eq(&self, other: &FullRegex) -> bool {
        self.source == other.source
    }
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not compile.
    #[error("is not a regular expression: {0}")]
    Syntax(String),
    /// It would take too much memory in every proxy.
    #[error("needs more than {REGEX_BYTES_MAX} bytes when compiled")]
    TooLarge,
}
