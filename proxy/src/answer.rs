//! An answer that a proxy gives itself: of a rule, or a refusal.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tulle_core::grpc;
use tulle_core::route::RequestView;
use tulle_core::route::filter::direct::has_no_body;
use tulle_core::route::filter::headers::HeaderEdits;

/// Head and body; what frames them is for each version of HTTP to say.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn new(status: StatusCode, headers: HeaderMap) -> Self {
        Self { status, headers, body: Bytes::new() }
    }

    /// What a gRPC caller gets in the place of an HTTP status: it is in `grpc-status` on HTTP 200 (gRPC over HTTP/2, "Responses"); an
    /// answer of trailers alone is one header block.
    pub(crate) fn into_grpc(mut self, status: u32, message: &[u8]) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        self.headers.insert(GRPC_STATUS, HeaderValue::from(status));
        self.headers.insert(GRPC_MESSAGE, visible(&grpc::message(message)));
        Self { status: StatusCode::OK, body: Bytes::new(), ..self }
    }

    /// Whether it ends with its head, so that not even a length is said.
    pub(crate) fn has_no_body(&self) -> bool {
        has_no_body(self.status.as_u16())
    }
}

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A header of visible ASCII.
pub(crate) fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("reasons, codes, identifiers and gRPC messages are visible ASCII")
}

/// Whether a request is a gRPC call: its errors must be gRPC statuses.
pub(crate) fn is_grpc(request: &impl RequestView) -> bool {
    request.method() == "POST" && request.header("content-type").any(|value| value.starts_with(b"application/grpc"))
}

/// Changes a head as edits say.
pub(crate) fn edit(headers: &mut HeaderMap, edits: &HeaderEdits) {
    for name in edits.dropped() {
        headers.remove(name);
    }
    for (name, value) in edits.appended() {
        headers.append(name, value.clone());
    }
}
