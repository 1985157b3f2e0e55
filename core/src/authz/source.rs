//! Conditions on the caller.

use std::sync::Arc;

use super::Action;
use crate::identity::SpiffeId;
use crate::name::ServiceAccountRef;

/// How rules compare a string: exact, `abc*`, `*abc`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every string.
    Any,
    /// This string.
    Exact(Arc<str>),
    /// Strings that start so.
    Prefix(Arc<str>),
    /// Strings that end so.
    Suffix(Arc<str>),
}

impl Pattern {
    /// Reads the form users write. A `*` in the middle, or one at either end, is refused: it would be taken literally by a rule
    /// whose author meant a wildcard.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Pattern, &'static str> {
        let starts = text.strip_prefix('*');
        let ends = text.strip_suffix('*');
        let (pattern, literal) = match (text, starts, ends) {
            ("", ..) => return Err("is empty"),
            ("*", ..) => return Ok(Pattern::Any),
            (_, Some(suffix), _) => (Pattern::Suffix(suffix.into()), suffix),
            (_, _, Some(prefix)) => (Pattern::Prefix(prefix.into()), prefix),
            (exact, None, None) => (Pattern::Exact(exact.into()), exact),
        };
        if literal.contains('*') {
            return Err("has '*' elsewhere than at one end");
        }
        Ok(pattern)
    }

    /// Whether a string fits.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Exact(exact) => text == &**exact,
            Pattern::Prefix(prefix) => text.starts_with(&**prefix),
            Pattern::Suffix(suffix) => text.ends_with(&**suffix),
        }
    }
}

/// Conditions on the caller, all of which must hold; an empty list holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// Identities without `spiffe://`.
    pub principals: Vec<Pattern>,
    /// Identities that do not fit.
    pub not_principals: Vec<Pattern>,
    /// Namespaces.
    pub namespaces: Vec<Pattern>,
    /// Namespaces that do not fit.
    pub not_namespaces: Vec<Pattern>,
    /// ServiceAccounts.
    pub service_accounts: Vec<ServiceAccountRef>,
    /// ServiceAccounts that do not fit.
    pub not_service_accounts: Vec<ServiceAccountRef>,
}

impl Source {
    /// Whether a caller fits. One without identity cannot show that it is not excluded: negative conditions alone do not let it
    /// through an ALLOW rule, and do catch it in a DENY rule.
    pub(super) fn fits(&self, peer: Option<&SpiffeId>, action: Action) -> bool {
        match peer {
            Some(peer) => self.includes(peer) && !self.excludes(peer),
            None => !self.asks_for_someone() && (action != Action::Allow || !self.asks_for_others()),
        }
    }

    fn asks_for_someone(&self) -> bool {
        !(self.principals.is_empty() && self.namespaces.is_empty() && self.service_accounts.is_empty())
    }

    fn asks_for_others(&self) -> bool {
        !(self.not_principals.is_empty() && self.not_namespaces.is_empty() && self.not_service_accounts.is_empty())
    }

    fn includes(&self, peer: &SpiffeId) -> bool {
        (self.principals.is_empty() || any(&self.principals, peer.without_scheme()))
            && (self.namespaces.is_empty() || any(&self.namespaces, peer.namespace()))
            && (self.service_accounts.is_empty() || names(&self.service_accounts, peer))
    }

    fn excludes(&self, peer: &SpiffeId) -> bool {
        any(&self.not_principals, peer.without_scheme())
            || any(&self.not_namespaces, peer.namespace())
            || names(&self.not_service_accounts, peer)
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.fits(text))
}

fn names(accounts: &[ServiceAccountRef], peer: &SpiffeId) -> bool {
    accounts.iter().any(|account| account.namespace == *peer.namespace() && *account.name == *peer.service_account())
}
