//! The head of a request, as rules see it and as the upstream gets it.
//!
//! Headers of one connection only (RFC 9110 §7.6.1) need no removal here: h2 resets a stream that carries any of them, or a `TE` other
//! than `trailers` (RFC 9113 §8.2.2).

use http::uri::Scheme;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request};
use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::route::RequestView;
use tulle_core::route::filter::mirror::shadow;
use tulle_core::trace::Outgoing;

use crate::admission::Changes;
use crate::answer::{self, edit};
use crate::error::{Failure, UNPROCESSED};

/// See the module.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

impl Head {
    /// The head as it was received, without what it must not bring.
    pub(super) fn new(parts: request::Parts) -> Self {
        let mut headers = parts.headers;
        // Between proxies, and in answers, only.
        headers.remove(UNPROCESSED);
        if parts.uri.authority().is_some() {
            // What is judged is what is forwarded: there is one name, and this is not it (RFC 9113 §8.3.1).
            headers.remove(header::HOST);
        }
        Self { method: parts.method, uri: parts.uri, headers }
    }

    /// Whether the request is a gRPC call: its errors must be gRPC statuses.
    pub(super) fn is_grpc(&self) -> bool {
        answer::is_grpc(self)
    }

    /// How long a gRPC caller waits (gRPC over HTTP/2, "Requests"): at most eight digits and a unit. What cannot be read is for the
    /// application to refuse.
    pub(crate) fn grpc_timeout(&self) -> Option<Duration> {
        let value = self.headers.get("grpc-timeout")?.as_bytes();
        let (unit, digits) = value.split_last()?;
        let number: u64 = std::str::from_utf8(digits).ok().filter(|_| digits.len() <= 8)?.parse().ok()?;
        Some(match unit {
            b'H' => Duration::from_secs(number * 3600),
            b'M' => Duration::from_secs(number * 60),
            b'S' => Duration::from_secs(number),
            b'm' => Duration::from_millis(number),
            b'u' => Duration::from_micros(number),
            b'n' => Duration::from_nanos(number),
            _ => return None,
        })
    }

    /// Brings the path into normal form: what is judged is what is forwarded.
    ///
    /// # Errors
    /// The path means different things to different readers.
    pub(super) fn normalize(&mut self) -> Result<(), Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::new(Reason::BadRequest, format!("path: {error}"));
        let normal = match path::normalize(self.uri.path()).map_err(|error| bad(&error))? {
            std::borrow::Cow::Borrowed(_) => return Ok(()),
            std::borrow::Cow::Owned(normal) => normal,
        };
        let target = match self.uri.query() {
            Some(query) => format!("{normal}?{query}"),
            None => normal,
        };
        let mut parts = std::mem::take(&mut self.uri).into_parts();
        parts.path_and_query = Some(target.parse().map_err(|error: http::uri::InvalidUri| bad(&error))?);
        self.uri = Uri::from_parts(parts).map_err(|error| bad(&error))?;
        Ok(())
    }

    /// Changes it as a rule says, after it was judged.
    ///
    /// # Errors
    /// The new target is none.
    pub(super) fn change(&mut self, changes: &Changes<'_>) -> Result<(), Failure> {
        if changes.path.is_some() || changes.authority.is_some() {
            self.retarget(changes)
                .map_err(|error| Failure::new(Reason::BadRequest, format!("the rule's target: {error}")))?;
        }
        if let Some(trace) = changes.trace {
            self.join(trace);
        }
        if let Some(edits) = changes.request {
            edit(&mut self.headers, edits);
        }
        Ok(())
    }

    /// Says which trace it belongs to, in place of what its caller said.
    fn join(&mut self, trace: &Outgoing) {
        for name in trace.replaced() {
            self.headers.remove(*name);
        }
        trace.lines(|name, value| {
            // Digits and dashes.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                self.headers.insert(HeaderName::from_static(name), value);
            }
        });
    }

    fn retarget(&mut self, changes: &Changes<'_>) -> Result<(), http::Error> {
        let mut parts = std::mem::take(&mut self.uri).into_parts();
        if let Some(path) = changes.path {
            let query = parts.path_and_query.as_ref().and_then(http::uri::PathAndQuery::query);
            let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
            parts.path_and_query = Some(target.parse()?);
        }
        if let Some(authority) = changes.authority {
            parts.authority = Some(authority.clone());
            parts.scheme.get_or_insert(Scheme::HTTP);
            self.headers.remove(header::HOST);
        }
        self.uri = Uri::from_parts(parts)?;
        Ok(())
    }

    /// The request for a mirror.
    pub(super) fn copy(&self) -> Request<()> {
        let mut request = self.request();
        let Some(authority) = RequestView::authority(self).map(shadow) else { return request };
        if self.uri.authority().is_none() {
            if let Ok(host) = HeaderValue::try_from(authority) {
                request.headers_mut().insert(header::HOST, host);
            }
            return request;
        }
        let mut parts = self.uri.clone().into_parts();
        if let Ok(authority) = authority.parse() {
            parts.authority = Some(authority);
        }
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        request
    }

    /// The request for one attempt.
    ///
    /// The headers are copied, although most requests are sent once: the peer may refuse the stream, and then nothing but this copy
    /// lets it go elsewhere without the caller noticing. The copy shares the bytes.
    pub(super) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        // h2 takes a target without authority from older versions only; the request then names its host in `Host` alone.
        let named = self.uri.authority().is_some();
        *request.version_mut() = if named { Version::HTTP_2 } else { Version::HTTP_11 };
        request
    }
}

impl RequestView for Head {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn authority(&self) -> Option<&str> {
        let host = || self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        self.uri.authority().map(http::uri::Authority::as_str).or_else(host)
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.get_all(name).iter().map(http::HeaderValue::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_grpc_timeouts() {
        let read = |value: &str| {
            let (parts, ()) = Request::builder().header("grpc-timeout", value).body(()).unwrap().into_parts();
            Head::new(parts).grpc_timeout()
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("5u"), Some(Duration::from_micros(5)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for unreadable in ["", "S", "1", "1s", "-1S", "100000000S", "1.5S", "1 S"] {
            assert_eq!(read(unreadable), None, "{unreadable:?}");
        }
    }
}
