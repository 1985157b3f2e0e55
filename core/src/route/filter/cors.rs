//! Which pages of other origins may call (Fetch §3.2), answered for the application.

use http::{HeaderName, HeaderValue, header};

use super::headers::HeaderEdits;
use crate::route::{RequestView, StringMatch};

/// Who may call, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorsPolicy {
    /// Origins, any of which fits.
    pub origins: Vec<StringMatch>,
    /// `Access-Control-Allow-Methods`.
    pub methods: Option<HeaderValue>,
    /// `Access-Control-Allow-Headers`.
    pub headers: Option<HeaderValue>,
    /// `Access-Control-Expose-Headers`.
    pub expose: Option<HeaderValue>,
    /// `Access-Control-Max-Age`, in seconds.
    pub max_age: Option<HeaderValue>,
    /// Whether calls may carry cookies and the like.
    pub credentials: bool,
    /// Whether a preflight of an origin that may not call still reaches the application.
    pub forward_unmatched: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Cors {
    /// It goes on; its answer is edited so.
    Go(HeaderEdits),
    /// It is a preflight and is answered with these headers.
    Answer(Vec<(HeaderName, HeaderValue)>),
}

impl CorsPolicy {
    /// Judges a request.
    ///
    /// A browser asks before it calls (a preflight: `OPTIONS` with `Origin` and `Access-Control-Request-Method`); everything else
    /// goes on, and its answer says whether the page may read it.
    pub fn judge(&self, request: &impl RequestView) -> Cors {
        let origin = self.allowed_origin(request);
        if !is_preflight(request) {
            return Cors::Go(self.permission(origin));
        }
        match origin {
            Some(origin) => Cors::Answer(self.preflight(origin)),
            None if self.forward_unmatched => Cors::Go(self.permission(None)),
            None => Cors::Answer(vec![VARY]),
        }
    }

    /// The request's one origin, if it may call.
    fn allowed_origin(&self, request: &impl RequestView) -> Option<HeaderValue> {
        let mut origins = request.header("origin");
        let (origin, None) = (origins.next()?, origins.next()) else { return None };
        let fits = |wanted: &StringMatch| wanted.fits(origin) || wanted.fits(b"*");
        self.origins.iter().any(fits).then(|| HeaderValue::from_bytes(origin).ok()).flatten()
    }

    /// What an answer says to a page: in the place of what the application says itself, whose answer to everybody else depends on
    /// the origin as well (Fetch §3.2.5, "CORS protocol and HTTP caches").
    fn permission(&self, origin: Option<HeaderValue>) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        if let Some(origin) = origin {
            let exposed = self.expose.clone().map(|names| (header::ACCESS_CONTROL_EXPOSE_HEADERS, names));
            for (name, value) in self.origin(origin).chain(exposed) {
                edits.set(name, value);
            }
        }
        edits.add(VARY.0, VARY.1);
        edits
    }

    fn preflight(&self, origin: HeaderValue) -> Vec<(HeaderName, HeaderValue)> {
        let lists = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers),
            (header::ACCESS_CONTROL_MAX_AGE, &self.max_age),
        ];
        let lists = lists.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        self.origin(origin).chain(lists).chain([VARY]).collect()
    }

    /// The origin itself, also where all may call: `*` is not enough for calls with credentials.
    fn origin(&self, origin: HeaderValue) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let credentials =
            self.credentials.then_some((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
        [(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)].into_iter().chain(credentials)
    }
}

const VARY: (HeaderName, HeaderValue) = (header::VARY, HeaderValue::from_static("origin"));

fn is_preflight(request: &impl RequestView) -> bool {
    request.method() == "OPTIONS"
        && request.header("origin").next().is_some()
        && request.header("access-control-request-method").any(|method| !method.is_empty())
}

#[cfg(test)]
mod tests;
