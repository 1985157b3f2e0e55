//! Pieces of schema that several kinds share.

use schemars::Schema;
use serde_json::json;

/// Longest DNS name (RFC 1035 §2.3.4) and so the longest host or service reference.
pub(crate) const HOST_MAX: u32 = 253;

/// A list keyed by a field: duplicates are refused by the API server, and server-side apply merges by key.
pub(crate) fn keyed_by(key: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        let object = schema.ensure_object();
        object.insert("x-kubernetes-list-type".into(), json!("map"));
        object.insert("x-kubernetes-list-map-keys".into(), json!([key]));
    }
}


/// A string out of a closed list. Kept a string in Rust, so that one unknown word spoils one object and not a whole watch.
pub(crate) fn one_of(words: &'static [&'static str]) -> impl FnMut(&mut Schema) {
    move |schema| {
        schema.ensure_object().insert("enum".into(), json!(words));
    }
}

/// A duration as Go and Kubernetes write it: `500ms`, `10s`, `1m30s`.
pub(crate) const DURATION_PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
