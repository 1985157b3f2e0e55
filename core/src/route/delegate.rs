//! Rules that stand for those of another VirtualService.
//!
//! A request takes a rule of the other object if both fit: the conditions of the rule that delegates, and the rule's own. One that fits
//! none of the other's rules goes on to the next rule of the delegating object (Istio: `delegate`). What cannot be followed stays what it
//! is, an [`Action::Delegate`], and requests that fit it have no route: the next rule was not written for them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{Action, Filters, Match, Rule};
use crate::name::Namespace;

/// Delegations in a row.
pub const DEPTH_MAX: usize = 3;
/// Rules one object may come to with all it delegates to: every proxy that calls its hosts holds them. An object alone has 64.
pub const RULES_MAX: usize = 1024;

/// A VirtualService that rules delegate to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delegate {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

/// Why a delegation cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Broken {
    #[error("VirtualService {0} does not exist, or cannot be read")]
    Missing(Delegate),
    #[error("VirtualService {0} is not exported to this namespace")]
    NotExported(Delegate),
    #[error("VirtualService {0} has hosts of its own, and only one without can be delegated to")]
    HasHosts(Delegate),
    #[error("delegation in a circle: {}", Chain(.0))]
    Circle(Vec<Delegate>),
    #[error("more than {DEPTH_MAX} delegations in a row: {}", Chain(.0))]
    TooDeep(Vec<Delegate>),
    #[error("delegation comes to more than {RULES_MAX} rules")]
    TooMany,
}

/// The rules of an object with those it delegates to in their places.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed<'a, D: Clone> {
    /// In order; those of the object itself where none of them delegates.
    pub rules: Cow<'a, [Rule<D>]>,
    /// The rules that cannot be followed, by name.
    pub broken: Vec<(Arc<str>, Broken)>,
    /// Every object that was asked for.
    pub met: BTreeSet<Delegate>,
}

/// Puts the rules of delegates into their places. `find(from, to)` gives the rules of an object, or says why
/// another may not use them.
pub fn compose<'a, 'b, D: Clone + 'b>(
    of: Delegate,
    rules: &'a [Rule<D>],
    find: impl Fn(&Delegate, &Delegate) -> Result<&'b [Rule<D>], Broken>,
) -> Composed<'a, D> {
    if rules.iter().all(|rule| rule.delegate().is_none()) {
        return Composed { rules: Cow::Borrowed(rules), broken: Vec::new(), met: BTreeSet::new() };
    }
    let mut composer =
        Composer { find, chain: vec![of], seen: 0, rules: Vec::new(), broken: Vec::new(), met: BTreeSet::new() };
    composer.take(rules, &[], &Filters::default());
    let Composer { rules: taken, broken, met, .. } = composer;
    // Where none of the delegates has a rule the object still speaks for its hosts, so requests have no route.
    let rules = if taken.is_empty() { Cow::Borrowed(rules) } else { Cow::Owned(taken) };
    Composed { rules, broken, met }
}

struct Composer<D, F> {
    find: F,
    /// The objects between the first and the one whose rules are taken.
    chain: Vec<Delegate>,
    /// Rules of all lists that were begun.
    seen: usize,
    rules: Vec<Rule<D>>,
    broken: Vec<(Arc<str>, Broken)>,
    met: BTreeSet<Delegate>,
}

impl<'b, D: Clone + 'b, F: Fn(&Delegate, &Delegate) -> Result<&'b [Rule<D>], Broken>> Composer<D, F> {
    fn take(&mut self, rules: &[Rule<D>], within: &[Vec<Match>], defaults: &Filters<D>) {
        self.seen += rules.len();
        for rule in rules {
            let filters = rule.filters.clone().or(defaults);
            let mut within = within.to_vec();
            let followed = match &rule.action {
                Action::Delegate(to) => Some(self.follow(to)),
                _ => None,
            };
            match followed {
                Some(Ok((to, theirs))) => {
                    within.extend((!rule.matches.is_empty()).then(|| rule.matches.clone()));
                    self.chain.push(to);
                    self.take(theirs, &within, &filters);
                    self.chain.pop();
                    continue;
                }
                Some(Err(broken)) => self.broken.push((Arc::clone(&rule.name), broken)),
                None => {}
            }
            self.rules.push(Rule { within, filters, ..rule.clone() });
        }
    }

    fn follow(&mut self, to: &Delegate) -> Result<(Delegate, &'b [Rule<D>]), Broken> {
        let chain = || self.chain.iter().chain([to]).cloned().collect();
        if self.chain.contains(to) {
            return Err(Broken::Circle(chain()));
        }
        if self.chain.len() > DEPTH_MAX {
            return Err(Broken::TooDeep(chain()));
        }
        self.met.insert(to.clone());
        let from = self.chain.last().expect("it begins with the first object");
        let theirs = (self.find)(from, to)?;
        if self.seen + theirs.len() > RULES_MAX {
            return Err(Broken::TooMany);
        }
        Ok((to.clone(), theirs))
    }
}

impl fmt::Display for Delegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

struct Chain<'a>(&'a [Delegate]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, object)| match index {
            0 => write!(f, "{object}"),
            _ => write!(f, " -> {object}"),
        })
    }
}

#[cfg(test)]
mod tests;
