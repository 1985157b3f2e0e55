//! Which rule answers a request: the first whose conditions fit, in the order of the VirtualServices' precedence (`rank`). Connections that
//! are not HTTP have rules of their own, see [`bytes`].

mod action;
pub mod bytes;
pub mod delegate;
pub mod filter;
mod matcher;
mod rank;
#[cfg(test)]
mod reference;
mod source;
pub mod subset;
mod traffic_policy;

use std::sync::Arc;

pub use action::{Action, Branch};
pub use delegate::Delegate;
pub use filter::Filters;
pub use filter::mirror::Mirror;
pub use matcher::{FullRegex, HeaderMatch, Match, PatternError, QueryMatch, StringMatch};
pub use rank::{Rank, merge};
pub use source::{Caller, Export, SourceMatch};
pub use subset::Subset;
pub use traffic_policy::{Balance, TrafficPolicy};

use self::filter::rewrite::Matched;
use crate::name::ServiceRef;

/// A request as rules see it. The proxy implements it over its own types, without copies.
pub trait RequestView {
    /// The method.
    fn method(&self) -> &str;
    /// The path without query, in [normal form](crate::path::normalize).
    fn path(&self) -> &str;
    /// The query without `?`, as sent.
    fn query(&self) -> Option<&str>;
    /// The authority (`Host`), as sent.
    fn authority(&self) -> Option<&str>;
    /// Every value of a header; `name` is in lower case.
    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]>;
    /// The scheme. A sidecar reads requests before any TLS of the mesh, so theirs is `http`.
    fn scheme(&self) -> &str {
        "http"
    }
}

/// Where a rule sends requests, before it is known what is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The Service.
    pub service: ServiceRef,
    /// Its port; `None`: the one that was dialled.
    pub port: Option<u16>,
    /// Which of its endpoints; `None`: all, and a TrafficSplit on the Service applies.
    pub subset: Option<Arc<Subset>>,
    /// How its endpoints are chosen and called.
    pub policy: TrafficPolicy,
}

/// The rules of one host.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTable<D> {
    /// In order of precedence.
    pub rules: Vec<Rule<D>>,
}

impl<D> Default for RouteTable<D> {
    fn default() -> RouteTable<D> {
        RouteTable { rules: Vec::new() }
    }
}

/// One rule: conditions, and what happens to a request that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<D> {
    /// Where it was written, e.g. `VirtualService shop/web http[1]`.
    pub name: Arc<str>,
    /// Conditions, any of which is enough. Empty: every request.
    pub matches: Vec<Match>,
    /// The same of the rules that delegate to this one, outermost first: each must hold as well.
    pub within: Vec<Vec<Match>>,
    /// Where it goes.
    pub action: Action<D>,
    /// What is done to it on the way.
    pub filters: Filters<D>,
}

impl<D> RouteTable<D> {
    /// The rule for a request: the first that fits. `None` with rules present means "no route"; with an empty table the dialled
    /// service itself answers.
    pub fn select(&self, request: &impl RequestView) -> Option<&Rule<D>> {
        self.rules.iter().find(|rule| rule.fits(request))
    }

    /// Whether no VirtualService speaks for the host.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The table as its caller sees it: conditions on other ports and workloads can never hold and are left out, those on this one
    /// always hold. A condition that still asks for either fits no request, so a table must pass here before it is used.
    #[must_use]
    pub fn seen_by(&self, caller: &Caller<'_>) -> RouteTable<D>
    where
        D: Clone,
    {
        RouteTable { rules: self.rules.iter().filter_map(|rule| rule.seen_by(caller)).collect() }
    }
}

impl<D> Rule<D> {
    fn fits(&self, request: &impl RequestView) -> bool {
        let holds = |any: &Vec<Match>| any.is_empty() || any.iter().any(|condition| condition.fits(request));
        holds(&self.matches) && self.within.iter().all(holds)
    }

    /// Whether it takes every request.
    pub fn takes_all(&self) -> bool {
        self.matches.is_empty() && self.within.iter().all(Vec::is_empty)
    }

    /// The object that the rule stands for.
    pub fn delegate(&self) -> Option<&Delegate> {
        if let Action::Delegate(to) = &self.action { Some(to) } else { None }
    }

    /// What of the path the condition fixed that the request fits, its own before those it stands within: a rule without a condition
    /// on the path takes every path that begins with a slash.
    pub fn matched(&self, request: &impl RequestView) -> Matched {
        fn uri<'a>(any: &'a [Match], request: &impl RequestView) -> Option<&'a StringMatch> {
            any.iter().find(|condition| condition.fits(request))?.uri.as_ref()
        }
        match uri(&self.matches, request).or_else(|| self.within.iter().rev().find_map(|any| uri(any, request))) {
            Some(StringMatch::Prefix(prefix)) => Matched::Prefix(prefix.len()),
            Some(StringMatch::Exact(_) | StringMatch::Regex(_)) => Matched::Whole,
            None => Matched::Prefix(1),
        }
    }

    fn seen_by(&self, caller: &Caller<'_>) -> Option<Rule<D>>
    where
        D: Clone,
    {
        let matches = seen_by(&self.matches, caller)?;
        let within = self.within.iter().map(|any| seen_by(any, caller)).collect::<Option<_>>()?;
        Some(Rule { matches, within, ..self.clone() })
    }

    /// Whether it depends on the labels of who calls.
    pub fn asks_labels(&self) -> bool {
        let asks = |condition: &Match| condition.source.as_ref().is_some_and(|source| !source.labels.is_empty());
        self.matches.iter().chain(self.within.iter().flatten()).any(asks)
    }

    /// Every destination the rule may send a request to.
    pub fn destinations(&self) -> impl Iterator<Item = &D> {
        self.action.destinations().chain(self.filters.mirrors.iter().map(|mirror| &mirror.destination))
    }

    /// The same rule with other destinations.
    pub fn map<E>(self, mut to: impl FnMut(D) -> E) -> Rule<E> {
        Rule {
            name: self.name,
            matches: self.matches,
            within: self.within,
            action: self.action.map(&mut to),
            filters: self.filters.map(&mut to),
        }
    }
}

/// What a caller sees of conditions; `None`: none of them can hold.
fn seen_by(conditions: &[Match], caller: &Caller<'_>) -> Option<Vec<Match>> {
    let seen: Vec<Match> = conditions
        .iter()
        .filter(|condition| caller.is_meant(condition.port, condition.source.as_deref()))
        .map(|condition| Match { port: None, source: None, ..condition.clone() })
        .collect();
    (conditions.is_empty() || !seen.is_empty()).then_some(seen)
}

#[cfg(test)]
mod tests;
