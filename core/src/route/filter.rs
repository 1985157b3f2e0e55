//! What a rule does to the requests that fit it, wherever they go, and to their answers.
//!
//! In this order: CORS, fault, then the rule's action with the path rewritten and headers edited.

pub mod cors;
pub mod direct;
pub mod fault;
pub mod headers;
pub mod mirror;
pub mod percent;
pub mod redirect;
pub mod rewrite;
#[cfg(test)]
mod testing;

use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

use self::cors::CorsPolicy;
use self::fault::Fault;
use self::headers::HeaderEdits;
use self::mirror::Mirror;
use self::rewrite::Rewrite;
use super::Destination;
use crate::retry::RetryPolicy;

/// What happens to a request and its answer on the way. The default leaves both alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters<D = Destination> {
    /// Limit for the whole answer; `None`: no limit.
    pub timeout: Option<Duration>,
    /// Repetition of failed attempts; `None`: never by this rule.
    pub retry: Option<RetryPolicy>,
    /// Pages of other origins that may call.
    pub cors: Option<CorsPolicy>,
    /// Trouble on purpose.
    pub fault: Option<Fault>,
    /// Another path for the upstream.
    pub rewrite: Option<Rewrite>,
    /// Changes of the heads, after those of the branch.
    pub edits: Edits,
    /// Who receives copies of what is forwarded.
    pub mirrors: Vec<Mirror<D>>,
}

/// What is changed of the head of a request and of its answer. Cheap to clone: a request keeps it until it was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The authority the upstream is told.
    pub authority: Option<Authority>,
    /// Header lines of the request.
    pub request: Option<Arc<HeaderEdits>>,
    /// Header lines of the answer.
    pub response: Option<Arc<HeaderEdits>>,
}

impl<D> Default for Filters<D> {
    fn default() -> Filters<D> {
        Filters {
            timeout: None,
            retry: None,
            cors: None,
            fault: None,
            rewrite: None,
            edits: Edits::default(),
            mirrors: Vec::new(),
        }
    }
}

impl<D> Filters<D> {
    /// The same filters with other destinations.
    pub(super) fn map<E>(self, mut to: impl FnMut(D) -> E) -> Filters<E> {
        Filters {
            timeout: self.timeout,
            retry: self.retry,
            cors: self.cors,
            fault: self.fault,
            rewrite: self.rewrite,
            edits: self.edits,
            mirrors: self.mirrors.into_iter().map(|mirror| mirror.map(&mut to)).collect(),
        }
    }
}

impl Edits {
    /// These of a branch, and then those of its rule, whose lines come last and win. Of two authorities the branch's does.
    #[must_use]
    pub fn then(self, rule: &Edits) -> Edits {
        Edits {
            authority: self.authority.or_else(|| rule.authority.clone()),
            request: both(self.request, rule.request.as_ref()),
            response: both(self.response, rule.response.as_ref()),
        }
    }
}

fn both(first: Option<Arc<HeaderEdits>>, next: Option<&Arc<HeaderEdits>>) -> Option<Arc<HeaderEdits>> {
    match (first, next) {
        (Some(first), Some(next)) => Some(Arc::new(Arc::unwrap_or_clone(first).then(next))),
        (first, next) => first.or_else(|| next.cloned()),
    }
}
