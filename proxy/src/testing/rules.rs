//! Rules for tests.

use tulle_core::route::filter::Edits;
use tulle_core::route::filter::headers::HeaderEdits;
use tulle_core::route::{Action, Filters, Match, Rule, StringMatch};

/// A rule for paths with this prefix.
pub(crate) fn rule(prefix: &str, action: Action<usize>, filters: Filters<usize>) -> Rule<usize> {
    let uri = Some(StringMatch::Prefix(prefix.into()));
    Rule { name: "test".into(), matches: vec![Match { uri, ..Match::default() }], within: Vec::new(), action, filters }
}

/// Edits of request and answer that set one line each and remove another.
pub(crate) fn edits(set: (&'static str, &'static str), remove: &'static str) -> Option<std::sync::Arc<HeaderEdits>> {
    let mut edits = HeaderEdits::default();
    edits.set(http::HeaderName::from_static(set.0), http::HeaderValue::from_static(set.1));
    edits.remove(http::HeaderName::from_static(remove));
    Some(edits.into())
}

/// Filters that only edit.
pub(crate) fn editing(edits: Edits) -> Filters<usize> {
    Filters { edits, ..Filters::default() }
}
