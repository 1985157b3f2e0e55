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

/// A duration as Go and Kubernetes write it: `500ms`, `10s`, `1.5s`, `1m30s`.
pub(crate) const DURATION_PATTERN: &str = r"^([0-9]{1,5}(\.[0-9]{1,9})?(h|m|s|ms)){1,4}$";

/// One CEL rule of a schema: what must hold, what is said where it does not, and the field that is at fault.
pub(crate) struct Rule {
    pub(crate) holds: &'static str,
    /// Starts with the catalogue code, as the parser's sentences do.
    pub(crate) message: &'static str,
    /// Relative to the object the rule stands on, `.name`; empty for the object itself.
    pub(crate) field: &'static str,
}

/// Adds CEL rules, which hold without the webhook.
pub(crate) fn cel(rules: &'static [Rule]) -> impl FnMut(&mut Schema) {
    move |schema| {
        let list = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        let Some(list) = list.as_array_mut() else { return };
        for rule in rules {
            let mut entry = json!({"rule": rule.holds, "message": rule.message});
            if !rule.field.is_empty() {
                entry["fieldPath"] = json!(rule.field);
            }
            list.push(entry);
        }
    }
}

/// What a VirtualService may be for: a host, `*.` and one for all of a namespace, or `*`.
pub(crate) const HOSTS_PATTERN: &str = r"^(\*|(\*\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\.?)$";
/// A host: a DNS name without wildcard.
pub(crate) const HOST_PATTERN: &str = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?\.?$";
/// A DNS label.
pub(crate) const LABEL_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A server as TLS names it, `*.` and one for all below it, or `*`.
pub(crate) const SERVER_NAME_PATTERN: &str = r"^(\*|(\*\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?)$";
/// A network of either family, or an address.
pub(crate) const SUBNET_PATTERN: &str = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$";
/// Exact, `abc*`, `*abc` or `*`.
pub(crate) const WILDCARD_PATTERN: &str = r"^(\*?[^*]+|[^*]+\*|\*)$";
/// A port as a string.
pub(crate) const PORT_PATTERN: &str = "^[1-9][0-9]{0,4}$";
/// `namespace/name` or `name` of a ServiceAccount.
pub(crate) const SERVICE_ACCOUNT_PATTERN: &str = r"^([a-z0-9-]+/)?[a-z0-9.-]+$";

/// A host, by pattern.
pub(crate) fn host(schema: &mut Schema) {
    schema.ensure_object().insert("pattern".into(), json!(HOST_PATTERN));
}

/// Strings of a list, by pattern.
pub(crate) fn items(pattern: &'static str) -> impl FnMut(&mut Schema) {
    move |schema| {
        if let Some(items) = schema.ensure_object().get_mut("items") {
            items["pattern"] = json!(pattern);
        }
    }
}
