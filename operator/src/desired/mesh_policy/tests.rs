use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tulle_crds::{MeshPolicy, MeshPolicyStatus};

use super::plan;
use crate::desired::testing::{report, settings, world};
use crate::world::{Change, Ref};

fn of(namespace: &str, name: &str) -> Ref {
    Ref { namespace: namespace.into(), name: name.into() }
}

fn policy(namespace: &str, name: &str, created: &str, spec: &Value) -> Change {
    let object: MeshPolicy = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy",
        "metadata": {"name": name, "namespace": namespace, "generation": 1, "creationTimestamp": created},
        "spec": spec,
    }))
    .expect("a policy");
    Change::MeshPolicy(of(namespace, name), Some(Arc::new(object)))
}

fn status_of(namespace: &str, spec: &Value, others: impl IntoIterator<Item = Change>) -> MeshPolicyStatus {
    let world = world(others.into_iter().chain([policy(namespace, "p", "2026-01-01T00:00:00Z", spec)]));
    let report = report(plan(&of(namespace, "p"), &world, &settings(), Timestamp::UNIX_EPOCH));
    serde_json::from_value(report.status).expect("a status")
}

fn ready(status: &MeshPolicyStatus) -> (&str, &str) {
    let ready = status.conditions.last().expect("Ready");
    (&ready.status, &ready.reason)
}

#[test]
fn targets_and_sections_in_short() {
    let strict = json!({"mtls": {"mode": "STRICT"}});
    let deny = json!({
        "selector": {"matchLabels": {"app": "web", "tier": "x"}},
        "authorization": {"action": "DENY", "rules": [{}, {}]},
    });
    let rows = [
        ("tulle-system", &strict, "mesh", None),
        ("shop", &strict, "namespace", None),
        ("shop", &deny, "app=web,tier=x", Some("DENY 2")),
    ];
    for (namespace, spec, target, authorization) in rows {
        let status = status_of(namespace, spec, []);
        assert_eq!((status.target.as_deref(), status.authorization.as_deref()), (Some(target), authorization));
        assert_eq!(ready(&status), ("True", "Ready"), "{status:?}");
    }
}

#[test]
fn the_oldest_decides_and_is_named() {
    let strict = json!({"mtls": {"mode": "STRICT"}});
    let both = json!({"mtls": {"mode": "STRICT"}, "authorization": {"action": "ALLOW", "rules": [{}]}});
    let elsewhere = json!({"selector": {"matchLabels": {"app": "a"}}, "mtls": {"mode": "PERMISSIVE"}});
    let older = |spec: &Value| policy("shop", "older", "2025-01-01T00:00:00Z", spec);
    let younger = |spec: &Value| policy("shop", "younger", "2027-01-01T00:00:00Z", spec);

    let status = status_of("shop", &strict, [older(&strict)]);
    assert_eq!((ready(&status), status.winner.as_deref()), (("False", "Conflicted"), Some("shop/older")));
    let status = status_of("shop", &both, [older(&strict)]);
    assert_eq!(
        (ready(&status), status.winner.as_deref()),
        (("True", "Ready"), Some("shop/older")),
        "its other section is in force"
    );
    for other in
        [younger(&strict), older(&elsewhere), older(&json!({"authorization": {"action": "ALLOW", "rules": []}}))]
    {
        let status = status_of("shop", &strict, [other]);
        assert_eq!((ready(&status), status.winner.as_deref()), (("True", "Ready"), None));
    }
}

#[test]
fn a_policy_that_cannot_be_read_says_where() {
    let status = status_of("shop", &json!({"mtls": {"mode": "MAYBE"}}), []);
    let ready = status.conditions.last().expect("Ready");
    assert_eq!(ready.reason, "InvalidField");
    assert!(ready.message.starts_with("TUL3001: spec.mtls.mode"), "{}", ready.message);
}

#[test]
fn a_policy_of_the_mesh_waits_until_every_namespace_can_read_it() {
    let strict = json!({"mtls": {"mode": "STRICT"}});
    let meshed = || Change::Namespace("shop".into(), Some(true));
    let bound = || [Change::Bound(Some(["shop".into()].into())), Change::BundleBound(Some(["shop".into()].into()))];
    assert_eq!(ready(&status_of("tulle-system", &strict, [meshed()])), ("Unknown", "Propagating"));
    let status = status_of("tulle-system", &strict, [meshed()].into_iter().chain(bound()));
    assert_eq!(status.conditions[2].reason, "Programmed");
}
