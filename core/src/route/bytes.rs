//! Rules for connections that are not HTTP: the first whose conditions fit chooses who receives the bytes.
//!
//! A connection that opens with a ClientHello is asked the rules of `tls` and then those of `tcp`, any other only those of `tcp` (Istio:
//! VirtualService). One that fits none goes where it was dialled: unlike a request, it has nobody to whom a refusal could be explained.

mod matcher;

use std::net::IpAddr;
use std::sync::Arc;

pub use matcher::{ByteMatch, SniHost, SniHostError};

use super::rank::in_order;
use super::{Caller, Rank};
use crate::split::Split;

/// A connection as rules see it, before anything of it was passed on.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The address that was dialled.
    pub dialled: IpAddr,
    /// What its first bytes say of TLS.
    pub hello: Hello<'a>,
}

/// What the first bytes of a connection say of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello<'a> {
    /// It is not TLS, or nobody looked.
    Absent,
    /// A ClientHello that names no server.
    Unnamed,
    /// One for this server (RFC 6066 §3). Under Encrypted ClientHello it is the name of the outer one.
    For(&'a str),
}

/// The rules of one host for bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ByteTable<D> {
    /// Rules for TLS of the application, in order of precedence.
    pub tls: Vec<ByteRule<D>>,
    /// Rules for everything, in order of precedence.
    pub tcp: Vec<ByteRule<D>>,
}

impl<D> Default for ByteTable<D> {
    fn default() -> ByteTable<D> {
        ByteTable { tls: Vec::new(), tcp: Vec::new() }
    }
}

/// One rule: conditions, and who receives a connection that fits.
#[derive(Clone, Debug, PartialEq)]
pub struct ByteRule<D> {
    /// Where it was written, e.g. `VirtualService shop/web tls[1]`.
    pub name: Arc<str>,
    /// Conditions, any of which is enough. Empty: every connection.
    pub matches: Vec<ByteMatch>,
    /// Destinations by weight; `None`: what was written cannot be read, and the connection is refused.
    pub to: Option<Split<D>>,
}

impl<D> ByteTable<D> {
    /// The rule for a connection: the first that fits. `None`: the dialled service itself answers.
    pub fn select(&self, opening: &Opening<'_>) -> Option<&ByteRule<D>> {
        let tls = if opening.hello == Hello::Absent { &[] } else { self.tls.as_slice() };
        tls.iter().chain(&self.tcp).find(|rule| rule.fits(opening))
    }

    /// Whether nothing is said of bytes.
    pub fn is_empty(&self) -> bool {
        self.tls.is_empty() && self.tcp.is_empty()
    }

    /// Whether the ClientHello of a connection has to be read before a rule can be chosen.
    pub fn asks_hello(&self) -> bool {
        !self.tls.is_empty()
    }

    /// Every rule, those for TLS first.
    pub fn rules(&self) -> impl Iterator<Item = &ByteRule<D>> {
        self.tls.iter().chain(&self.tcp)
    }

    /// One table from those of several VirtualServices.
    pub fn merge(sources: impl IntoIterator<Item = (Rank, ByteTable<D>)>) -> ByteTable<D> {
        let (tls, tcp): (Vec<_>, Vec<_>) =
            sources.into_iter().map(|(rank, table)| ((rank.clone(), table.tls), (rank, table.tcp))).unzip();
        ByteTable { tls: in_order(tls), tcp: in_order(tcp) }
    }

    /// The table as its caller sees it, see [`RouteTable::seen_by`](super::RouteTable::seen_by).
    #[must_use]
    pub fn seen_by(&self, caller: &Caller<'_>) -> ByteTable<D>
    where
        D: Clone,
    {
        let seen = |rules: &[ByteRule<D>]| rules.iter().filter_map(|rule| rule.seen_by(caller)).collect();
        ByteTable { tls: seen(&self.tls), tcp: seen(&self.tcp) }
    }

    /// The same table with other destinations.
    pub fn map<E>(self, mut to: impl FnMut(D) -> E) -> ByteTable<E> {
        let mut each = |rules: Vec<ByteRule<D>>| rules.into_iter().map(|rule| rule.map(&mut to)).collect();
        ByteTable { tls: each(self.tls), tcp: each(self.tcp) }
    }
}

impl<D> ByteRule<D> {
    fn fits(&self, opening: &Opening<'_>) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|condition| condition.fits(opening))
    }

    /// Whether it takes every connection that its list is asked for.
    pub fn takes_all(&self) -> bool {
        self.matches.is_empty() || self.matches.iter().any(ByteMatch::is_open)
    }

    /// Whether it depends on the labels of who calls.
    pub fn asks_labels(&self) -> bool {
        self.matches.iter().any(|condition| condition.source.as_ref().is_some_and(|source| !source.labels.is_empty()))
    }

    /// Every destination the rule may send a connection to.
    pub fn destinations(&self) -> impl Iterator<Item = &D> {
        self.to.iter().flat_map(Split::entries).map(|(destination, _)| destination)
    }

    fn seen_by(&self, caller: &Caller<'_>) -> Option<ByteRule<D>>
    where
        D: Clone,
    {
        let matches: Vec<ByteMatch> = self
            .matches
            .iter()
            .filter(|condition| caller.is_meant(condition.port, condition.source.as_deref()))
            .map(|condition| ByteMatch { port: None, source: None, ..condition.clone() })
            .collect();
        (self.matches.is_empty() || !matches.is_empty()).then(|| ByteRule { matches, ..self.clone() })
    }

    fn map<E>(self, to: impl FnMut(D) -> E) -> ByteRule<E> {
        ByteRule { name: self.name, matches: self.matches, to: self.to.map(|split| split.map(to)) }
    }
}

#[cfg(test)]
mod tests;
