//! HTTP/2 for the fuzz targets: the head of a request as it is judged and forwarded.

use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, uri};

use super::head::Head;

/// A request as HTTP/2 tells it: pseudo-header fields, which may be absent or empty, and header lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // as in RFC 9113, section 8.3.1
pub struct Call {
    pub method: Vec<u8>,
    pub scheme: Vec<u8>,
    pub authority: Vec<u8>,
    pub path: Vec<u8>,
    pub lines: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads a request as a proxy does, up to where rules are asked, and tells what it forwards, and how long a gRPC caller waits; `None`: h2
/// refuses such fields by itself.
///
/// # Errors
/// The rule it broke.
pub fn call(call: &Call) -> Option<Result<(Call, Option<Duration>), String>> {
    let mut head = Head::new(parts(call)?);
    if let Err(failure) = head.settle().and_then(|()| head.normalize()) {
        return Some(Err(failure.to_string()));
    }
    let text = |text: Option<&str>| text.unwrap_or_default().as_bytes().to_vec();
    let lines = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()));
    let forwarded = Call {
        method: text(Some(head.method.as_str())),
        scheme: text(head.uri.scheme_str()),
        authority: text(head.uri.authority().map(Authority::as_str)),
        path: text(head.uri.path_and_query().map(PathAndQuery::as_str)),
        lines: lines.collect(),
    };
    Some(Ok((forwarded, head.grpc_timeout())))
}

/// As h2 makes them of what it decoded.
fn parts(call: &Call) -> Option<http::request::Parts> {
    let mut target = uri::Parts::default();
    if !call.scheme.is_empty() {
        target.scheme = Some(Scheme::try_from(&call.scheme[..]).ok()?);
    }
    if !call.authority.is_empty() {
        target.authority = Some(Authority::try_from(&call.authority[..]).ok()?);
    }
    if !call.path.is_empty() {
        target.path_and_query = Some(PathAndQuery::try_from(&call.path[..]).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(&call.method).ok()?;
    *request.uri_mut() = Uri::from_parts(target).ok()?;
    for (name, value) in &call.lines {
        if name.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let (name, value) = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        request.headers_mut().append(name, value);
    }
    Some(request.into_parts().0)
}
