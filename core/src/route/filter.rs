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
    /// What the author switched off, against what a rule that delegates to this one would give it.
    pub off: Off,
}

/// Filters that are off on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Off {
    /// `timeout: 0s`.
    pub timeout: bool,
    /// `retries` with 0 attempts.
    pub retry: bool,
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
            off: Off::default(),
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
            off: self.off,
        }
    }

    /// These filters, and where one is absent that of the rule which delegates to this one. As in Istio each counts as a whole: header
    /// lines of both are not mixed, nor are the parts of a rewrite.
    #[must_use]
    pub fn or(self, outer: &Filters<D>) -> Filters<D>
    where
        D: Clone,
    {
        let rewrites = self.rewrite.is_some() || self.edits.authority.is_some();
        let edits = self.edits.request.is_some() || self.edits.response.is_some();
        let (heads, lines) =
            (if rewrites { &self.edits } else { &outer.edits }, if edits { &self.edits } else { &outer.edits });
        let edits = Edits {
            authority: heads.authority.clone(),
            request: lines.request.clone(),
            response: lines.response.clone(),
        };
        Filters {
            timeout: if self.off.timeout { None } else { self.timeout.or(outer.timeout) },
            retry: if self.off.retry { None } else { self.retry.or_else(|| outer.retry.clone()) },
            cors: self.cors.or_else(|| outer.cors.clone()),
            fault: self.fault.or(outer.fault),
            rewrite: if rewrites { self.rewrite } else { outer.rewrite.clone() },
            edits,
            mirrors: if self.mirrors.is_empty() { outer.mirrors.clone() } else { self.mirrors },
            off: self.off,
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
