//! What goes wrong on the data path, as the caller, the log and the metrics see it.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tulle_core::codes::{Code, Reason};

use crate::answer::{Answer, GRPC_MESSAGE, GRPC_STATUS, visible};

/// Names why the mesh itself answered: `<reason>; code=TULnnnn; id=<16 hex digits>`. Policy, rule and peer are only in the log.
pub(crate) const TULLE_ERROR: HeaderName = HeaderName::from_static("tulle-error");

/// Between two proxies: nothing of the request reached the application, so another endpoint may serve it whatever its method.
/// Removed from every answer of an application, so that nobody but a proxy can say it.
pub(crate) const UNPROCESSED: HeaderName = HeaderName::from_static("tulle-unprocessed");

/// A request or connection the mesh could not carry.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The closed reason: header, metric and log speak it.
    pub(crate) reason: Reason,
    /// The exact code where it is finer than the reason's own, as for denials.
    pub(crate) code: Code,
    /// What happened, for the log; never sent to the caller.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, code: reason.code(), detail: detail.into() }
    }

    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Whether nothing of the request was processed, so that it may be sent to another endpoint.
    pub(crate) fn unprocessed(&self) -> bool {
        matches!(
            self.reason,
            Reason::ConnectFailed | Reason::HandshakeFailed | Reason::Overloaded | Reason::PeerIdentity
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code.as_str(), self.reason.as_str(), self.detail)
    }
}

/// Why a request is not answered by its destination.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// The policy that decided, `namespace/name`; empty: none in particular.
    pub(crate) policy: Arc<str>,
    pub(crate) rule: Option<usize>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, policy: Arc::from(""), rule: None }
    }
}

/// The identifier that ties the caller's answer to the proxy's log line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailureId(pub(crate) u64);

impl fmt::Display for FailureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The answer for a failure.
pub(crate) fn answer(failure: &Failure, id: FailureId, grpc: bool) -> Answer {
    answer_as(failure, id, (failure.reason.status(), grpc.then(|| failure.reason.grpc_status())))
}

/// The answer for a failure with statuses of its own: HTTP's, and gRPC's for a gRPC caller.
pub(crate) fn answer_as(failure: &Failure, id: FailureId, (status, grpc): (u16, Option<u32>)) -> Answer {
    let mut headers = HeaderMap::with_capacity(4);
    let told = told(failure, id);
    headers.insert(TULLE_ERROR, visible(&told));
    if failure.unprocessed() {
        headers.insert(UNPROCESSED, HeaderValue::from_static("1"));
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let answer = Answer::new(status, headers);
    match grpc {
        Some(status) => answer.into_grpc(status, told.as_bytes()),
        None => answer,
    }
}

/// Trailers that end a gRPC call whose answer has begun.
pub(crate) fn trailers(failure: &Failure, id: FailureId) -> HeaderMap {
    let told = visible(&told(failure, id));
    let mut trailers = HeaderMap::with_capacity(4);
    trailers.insert(TULLE_ERROR, told.clone());
    trailers.insert(GRPC_STATUS, HeaderValue::from(failure.reason.grpc_status()));
    trailers.insert(GRPC_MESSAGE, told);
    trailers
}

fn told(failure: &Failure, id: FailureId) -> String {
    format!("{}; code={}; id={id}", failure.reason.as_str(), failure.code.as_str())
}

#[cfg(test)]
mod reasons;
#[cfg(test)]
mod tests;
