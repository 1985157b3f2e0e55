//! The head of a request, as rules see it and as the upstream gets it.
//!
//! Headers of one connection only (RFC 9110 §7.6.1) need no removal here: h2 resets a stream that carries any of them, or a `TE` other
//! than `trailers` (RFC 9113 §8.2.2).

use http::uri::{PathAndQuery, Scheme};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request};
use tulle_core::authority::Authority;
use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::route::RequestView;
use tulle_core::route::filter::mirror::shadow;
use tulle_core::trace::Outgoing;

use crate::admission::Changes;
use crate::answer::{self, edit};
use crate::error::{Failure, UNPROCESSED};
use crate::h1::has_small_letters;

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

    /// Leaves one reading of what the request is for: a method, a path, or `*` of OPTIONS, and a host, which a caller may have named in `Host` alone
    /// and some servers then do not see (RFC 9113 §8.3.1).
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        let bad = |rule: &str| Failure::new(Reason::BadRequest, rule);
        if has_small_letters(self.method.as_str()) {
            return Err(bad("the method has small letters, which some servers read as capitals"));
        }
        let schemes = [&Scheme::HTTP, &Scheme::HTTPS];
        if self.uri.scheme().is_some_and(|scheme| !schemes.contains(&scheme)) {
            return Err(bad("the scheme of the request is neither http nor https"));
        }
        for value in self.headers.values_mut().filter(|value| has_blanks_around(value)) {
            // They have no place in HTTP/2 (RFC 9113 §8.2.1) and no meaning in HTTP/1: some servers drop them, and some the field.
            if let Ok(trimmed) = HeaderValue::from_bytes(value.as_bytes().trim_ascii()) {
                *value = trimmed;
            }
        }
        // A URI without path says "/" of it in one of these ways, and one that begins with "?" in the other.
        let target = self.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let is_path = target.starts_with('/') && !self.uri.path().is_empty();
        if !is_path && (target != "*" || self.method != Method::OPTIONS) {
            return Err(bad("the request has no path (RFC 9113 section 8.3.1)"));
        }
        let host = match self.uri.authority() {
            Some(authority) => authority.as_str().as_bytes(),
            None => {
                let mut hosts = self.headers.get_all(header::HOST).iter();
                match (hosts.next(), hosts.next()) {
                    (Some(host), None) => host.as_bytes(),
                    (None, _) => return Err(bad("the request names no host (RFC 9113 section 8.3.1)")),
                    (Some(_), Some(_)) => return Err(bad("the request has more than one Host (RFC 9110 section 7.2)")),
                }
            }
        };
        match Authority::parse(host) {
            Ok(host) if !host.host.is_empty() => {}
            _ => return Err(bad("the host of the request is not a host with an optional port (RFC 9110 section 7.2)")),
        }
        if self.uri.authority().is_none() {
            self.name_host().map_err(|error| Failure::new(Reason::BadRequest, format!("Host: {error}")))?;
        }
        Ok(())
    }

    /// Makes `:authority` of `Host`.
    #[cold]
    fn name_host(&mut self) -> Result<(), http::Error> {
        let Some(host) = self.headers.remove(header::HOST) else { return Ok(()) };
        let mut parts = std::mem::take(&mut self.uri).into_parts();
        parts.authority = Some(host.as_bytes().try_into()?);
        parts.scheme.get_or_insert(Scheme::HTTP);
        self.uri = Uri::from_parts(parts)?;
        Ok(())
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
        *request.version_mut() = Version::HTTP_2;
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

fn has_blanks_around(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_is_for_has_one_reading() {
        let settled = |method: &str, uri: Uri, hosts: &[&'static str]| {
            let (mut parts, ()) = Request::builder().method(method).body(()).unwrap().into_parts();
            parts.uri = uri;
            for host in hosts {
                parts.headers.append(header::HOST, HeaderValue::from_static(host));
            }
            let mut head = Head::new(parts);
            head.settle().is_ok().then(|| (head.uri.to_string(), head.headers.contains_key(header::HOST)))
        };
        let uri = |authority: Option<&str>, path: &str| {
            let mut parts = http::uri::Parts::default();
            parts.authority = authority.map(|authority| authority.parse().unwrap());
            parts.scheme = authority.map(|_| Scheme::HTTP);
            parts.path_and_query = (!path.is_empty()).then(|| path.parse().unwrap());
            Uri::from_parts(parts).unwrap()
        };
        let one = Some("a");
        for (method, uri, hosts, expected) in [
            ("GET", uri(one, "/b?c"), &[][..], "http://a/b?c"),
            ("GET", uri(one, "/b"), &["other"], "http://a/b"),
            ("GET", uri(None, "/b"), &["a:80"], "http://a:80/b"),
            ("OPTIONS", uri(one, "*"), &[], "http://a*"),
        ] {
            assert_eq!(
                settled(method, uri.clone(), hosts),
                Some((expected.to_owned(), false)),
                "{method} {uri} {hosts:?}"
            );
        }
        for (method, uri, hosts) in [
            ("get", uri(one, "/b"), &[][..]),
            ("GET", uri(one, "*"), &[]),
            ("GET", Uri::from_static("ftp://a/b"), &[]),
            ("GET", uri(one, "?b"), &[]),
            ("GET", uri(None, ""), &["a"]),
            ("GET", uri(None, "/b"), &[]),
            ("GET", uri(None, "/b"), &["a", "a"]),
            ("GET", uri(None, "/b"), &["a, b"]),
            ("GET", uri(None, "/b"), &["a b"]),
            ("GET", uri(None, "/b"), &[""]),
            ("GET", uri(Some("user@a"), "/b"), &[]),
            ("GET", uri(Some("a:x"), "/b"), &[]),
        ] {
            assert_eq!(settled(method, uri.clone(), hosts), None, "{method} {uri} {hosts:?}");
        }
    }

    #[test]
    fn blanks_around_values_are_no_part_of_them() {
        let (mut parts, ()) = Request::get("http://a/").body(()).unwrap().into_parts();
        for value in [" b", "b\t", "b c", " "] {
            parts.headers.append("x-a", HeaderValue::from_static(value));
        }
        let mut head = Head::new(parts);
        head.settle().unwrap();
        assert_eq!(head.header("x-a").collect::<Vec<_>>(), [&b"b"[..], b"b", b"b c", b""]);
    }

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
