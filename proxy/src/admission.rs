//! Whether a request goes on: what each side of the proxy says to that, whatever the version of HTTP.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::uri::Authority;
use tulle_core::route::RequestView;
use tulle_core::route::filter::headers::HeaderEdits;
use tulle_core::trace::Outgoing;

use crate::answer::Answer;
use crate::error::{Failure, Refusal};
use crate::mirror::Copies;
use crate::record::{Arrival, Record};

/// See the module.
pub(crate) trait Admission {
    /// What is remembered of an admitted request.
    type Ticket;
    /// What a rule answers.
    type Given;

    /// Whether rules look at paths: then requests are judged and forwarded in normal form.
    fn judges_paths(&self) -> bool;
    /// What the next hop is told of the request's trace; `None`: what its caller said.
    fn trace(&self, request: &impl RequestView) -> Option<Outgoing>;
    /// Begins the record of a request that can be read.
    fn record(&self, request: &impl RequestView, arrival: Arrival, trace: Option<&Outgoing>) -> Record;
    /// Begins the record of one that cannot.
    fn unread(&self, arrival: Arrival) -> Record;
    /// Judges a request and decides where it goes.
    fn admit(&self, request: &impl RequestView, record: &mut Record) -> Result<Self::Ticket, Reply<Self::Given>>;
    /// How long a rule holds up the request, or the answer to it.
    fn delay(&self, admitted: &Result<Self::Ticket, Reply<Self::Given>>) -> Option<Duration>;
    /// What a rule changes of an admitted request.
    fn changes<'a>(&self, ticket: &'a Self::Ticket) -> Option<Changes<'a>>;
    /// Who gets a copy of an admitted request; asked once.
    fn copies(&self, _ticket: &mut Self::Ticket) -> Option<Box<Copies>> {
        None
    }
    /// Logs and counts a refusal, and words the answer.
    fn refuse(&self, record: Record, refusal: &Refusal) -> Answer;
    /// Logs and counts what a rule answers.
    fn give(&self, record: Record, given: Self::Given) -> Answer;
    /// Logs and counts an answer that broke off by no fault of the caller. A gRPC call is told in these trailers.
    fn broke_off(&self, record: &mut Record, failure: Failure) -> HeaderMap;

    /// What the caller gets.
    fn reply(&self, record: Record, reply: Reply<Self::Given>) -> Answer {
        match reply {
            Reply::Refusal(refusal) => self.refuse(record, &refusal),
            Reply::Rule(given) => self.give(record, given),
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
    /// The trace the upstream is told, in place of what the caller said.
    pub(crate) trace: Option<&'a Outgoing>,
    /// Header lines of the request.
    pub(crate) request: Option<&'a HeaderEdits>,
    /// Header lines of the answer.
    pub(crate) response: Option<&'a Arc<HeaderEdits>>,
}

impl Changes<'_> {
    /// Whether a rule leaves header lines of this name in the request.
    pub(crate) fn passes(&self, name: &str) -> bool {
        self.request.is_none_or(|edits| !edits.drops(name))
    }
}
