//! Whether a request goes on: what each side of the proxy says to that, whatever the version of HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::Authority;
use tulle_core::route::RequestView;
use tulle_core::route::filter::headers::HeaderEdits;

use crate::answer::Answer;
use crate::error::{Failure, Refusal};

/// See the module.
pub(crate) trait Admission {
    /// What is remembered of an admitted request.
    type Ticket;
    /// What a rule answers.
    type Given;

    /// Whether rules look at paths: then requests are judged and forwarded in normal form.
    fn judges_paths(&self) -> bool;
    /// Judges a request and decides where it goes.
    fn admit(&self, request: &impl RequestView, started: Instant) -> Result<Self::Ticket, Reply<Self::Given>>;
    /// How long a rule holds up the request, or the answer to it.
    fn delay(&self, admitted: &Result<Self::Ticket, Reply<Self::Given>>) -> Option<Duration>;
    /// What a rule changes of an admitted request.
    fn changes<'a>(&self, ticket: &'a Self::Ticket) -> Option<Changes<'a>>;
    /// Logs and counts a refusal, and words the answer.
    fn refuse(&self, refusal: &Refusal, started: Instant, grpc: bool) -> Answer;
    /// Logs and counts what a rule answers.
    fn give(&self, given: Self::Given, started: Instant, grpc: bool) -> Answer;

    /// What the caller gets.
    fn reply(&self, reply: Reply<Self::Given>, started: Instant, grpc: bool) -> Answer {
        match reply {
            Reply::Refusal(refusal) => self.refuse(&refusal, started, grpc),
            Reply::Rule(given) => self.give(given, started, grpc),
        }
    }
}

/// What a caller gets instead of its destination's answer.
#[derive(Debug)]
pub(crate) enum Reply<G> {
    /// The mesh refuses.
    Refusal(Refusal),
    /// A rule answers.
    Rule(G),
}

impl<G> From<Refusal> for Reply<G> {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl<G> From<Failure> for Reply<G> {
    fn from(failure: Failure) -> Self {
        Self::Refusal(failure.into())
    }
}

/// What changes of a request and its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes<'a> {
    /// The path for the upstream, in normal form; `None`: as it was judged.
    pub(crate) path: Option<&'a str>,
    /// The authority the upstream is told.
    pub(crate) authority: Option<&'a Authority>,
    /// Header lines of the request.
    pub(crate) request: Option<&'a HeaderEdits>,
    /// Header lines of the answer.
    pub(crate) response: Option<&'a Arc<HeaderEdits>>,
}
