//! Precedence among several VirtualServices of one host: the oldest first, then by namespace and name.
//!
//! Inside one VirtualService the order is the author's: the first rule that fits is taken (Istio), whatever is more specific.

use super::{RouteTable, Rule};
use crate::name::Namespace;

/// What decides precedence, most important field first: the derive is the order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Creation, Unix seconds. An object cannot take over traffic that an older one handles.
    pub created: i64,
    /// Namespace of the object.
    pub namespace: Namespace,
    /// Name of the object.
    pub name: String,
}

/// One table from the rules of several VirtualServices.
pub fn merge<D>(sources: impl IntoIterator<Item = (Rank, Vec<Rule<D>>)>) -> RouteTable<D> {
    RouteTable { rules: in_order(sources) }
}

/// The rules of several VirtualServices in order of precedence.
pub(super) fn in_order<R>(sources: impl IntoIterator<Item = (Rank, Vec<R>)>) -> Vec<R> {
    let mut sources: Vec<_> = sources.into_iter().collect();
    sources.sort_by(|(a, _), (b, _)| a.cmp(b));
    sources.into_iter().flat_map(|(_, rules)| rules).collect()
}
