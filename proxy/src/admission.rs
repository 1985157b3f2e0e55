//! Whether a request goes on: what each side of the proxy says to that, whatever the version of HTTP.

use std::time::Instant;

use http::{HeaderMap, StatusCode};
use tulle_core::route::RequestView;

use crate::error::Refusal;

/// See the module.
pub(crate) trait Admission {
    /// What is remembered of an admitted request.
    type Ticket;

    /// Whether rules look at paths: then requests are judged and forwarded in normal form.
    fn judges_paths(&self) -> bool;
    /// Judges a request and decides where it goes.
    fn admit(&self, request: &impl RequestView, started: Instant) -> Result<Self::Ticket, Refusal>;
    /// Logs and counts a refusal, and words the answer.
    fn refuse(&self, refusal: &Refusal, started: Instant, grpc: bool) -> (StatusCode, HeaderMap);
}
