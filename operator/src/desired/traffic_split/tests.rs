use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tulle_crds::{TrafficSplit, TrafficSplitStatus};

use super::plan;
use crate::desired::report::Report;
use crate::desired::testing::{mesh_service, report, settings, world};
use crate::world::tests::{at, service, slice};
use crate::world::{Change, Service, World};

fn split(name: &str, created: &str, backends: Value) -> Change {
    let object: TrafficSplit = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "TrafficSplit",
        "metadata": {"name": name, "namespace": "shop", "generation": 2, "creationTimestamp": created},
        "spec": {"service": "web", "backends": backends},
    }))
    .expect("a split");
    Change::TrafficSplit(at(name), Some(Arc::new(object)))
}

fn canary() -> Value {
    json!([{"service": "v1", "weight": 90}, {"service": "v2", "weight": 10}])
}

fn shop() -> Vec<Change> {
    let mut changes = vec![Change::Namespace("shop".into(), Some(true))];
    changes.push(Change::Bound(Some(["shop".into()].into())));
    changes.push(Change::BundleBound(Some(["shop".into()].into())));
    for name in ["web", "v1", "v2"] {
        changes.push(Change::Service(at(name), Some(service(name))));
        changes.push(Change::MeshService(at(name), Some(mesh_service(name))));
        changes.push(Change::Slice(at(name), Some(slice(name, &[(name, true)]))));
    }
    changes
}

fn told(world: &World, name: &str) -> (Report, TrafficSplitStatus) {
    let report = report(plan(&at(name), world, &settings(), Timestamp::UNIX_EPOCH));
    let status = serde_json::from_value(report.status.clone()).expect("a status");
    (report, status)
}

fn words(status: &TrafficSplitStatus) -> Vec<String> {
    status.conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect()
}

#[test]
fn a_split_in_force() {
    let world = world(shop().into_iter().chain([split("canary", "2026-01-01T00:00:00Z", canary())]));
    let (report, status) = told(&world, "canary");
    let expected =
        ["Accepted True Accepted", "ResolvedRefs True ResolvedRefs", "Programmed True Programmed", "Ready True Ready"];
    assert_eq!(words(&status), expected);
    assert_eq!(
        (status.observed_generation, status.weights.as_deref(), status.winner.as_deref()),
        (Some(2), Some("90/10"), None)
    );
    let shares: Vec<_> =
        status.backends.iter().map(|b| (b.service.as_str(), b.effective_percent, b.ready_endpoints)).collect();
    assert_eq!(shares, [("v1", 90, 1), ("v2", 10, 1)]);
    assert_eq!(report.notes.iter().map(|note| note.reason).collect::<Vec<_>>(), ["Ready"]);
    let programmed = &status.conditions[2].message;
    assert!(!programmed.contains("applied"), "says no more than it knows: {programmed}");
}

#[test]
fn why_a_split_is_not_ready() {
    let old = "2026-01-01T00:00:00Z";
    let gone = |name: &str| Change::Service(at(name), None);
    let rows: Vec<(&str, Vec<Change>, Value, &str, &str)> = vec![
        (
            "missing apex",
            vec![gone("web")],
            canary(),
            "ServiceNotFound",
            "TUL3005: spec.service: Service shop/web does not exist",
        ),
        (
            "missing backend",
            vec![gone("v2")],
            canary(),
            "ServiceNotFound",
            "TUL3005: spec.backends[1].service: Service shop/v2",
        ),
        (
            "no ready endpoint",
            vec![Change::Slice(at("v2"), Some(slice("v2", &[("v2", false)])))],
            canary(),
            "BackendUnavailable",
            "TUL2002: spec.backends[1]: v2 has no ready endpoint, the others hold its share",
        ),
        (
            "all zero",
            vec![],
            json!([{"service": "v1", "weight": 0}]),
            "NothingToChoose",
            "TUL3009: spec.backends: all weights are 0",
        ),
        (
            "another namespace",
            vec![],
            json!([{"service": "v1.bank", "weight": 1}]),
            "RefNotPermitted",
            "TUL3006: spec.backends[0].service",
        ),
        (
            "an older split",
            vec![split("older", "2025-01-01T00:00:00Z", canary())],
            canary(),
            "Conflicted",
            "TUL3008: spec.service: web is split already by the older TrafficSplit shop/older",
        ),
        (
            "not published",
            vec![Change::MeshService(at("v1"), None)],
            canary(),
            "Propagating",
            "MeshService shop/v1 is being published",
        ),
        ("not bound", vec![Change::Bound(None)], canary(), "Propagating", "the proxies' right to read"),
    ];
    for (name, changes, backends, reason, message) in rows {
        let world = world(shop().into_iter().chain(changes).chain([split("canary", old, backends)]));
        let (_, status) = told(&world, "canary");
        let ready = status.conditions.last().expect("Ready");
        assert_ne!(ready.status, "True", "{name}");
        if reason != "NothingToChoose" {
            assert_eq!(ready.reason, reason, "{name}: {:?}", words(&status));
        }
        assert!(ready.message.starts_with(message), "{name}: {}", ready.message);
        assert_eq!(status.winner.as_deref(), (reason == "Conflicted").then_some("shop/older"), "{name}");
        assert_eq!(status.conditions.len(), 4, "{name}: {:?}", words(&status));
    }
}

#[test]
fn an_alias_can_neither_be_split_nor_receive_a_share() {
    for (name, path) in [("web", "spec.service"), ("v2", "spec.backends[1].service")] {
        let alias = Service { alias_of: Some("db.example.com".into()), ..service(name) };
        let changes = [Change::Service(at(name), Some(alias)), split("canary", "2026-01-01T00:00:00Z", canary())];
        let (_, status) = told(&world(shop().into_iter().chain(changes)), "canary");
        let refs = &status.conditions[1];
        assert_eq!((refs.status.as_str(), refs.reason.as_str()), ("False", "ExternalName"));
        let said =
            format!("TUL3015: {path}: Service shop/{name} is an alias of db.example.com (ExternalName); name the");
        assert!(refs.message.starts_with(&said), "{}", refs.message);
    }
}

#[test]
fn a_namespace_without_proxies_leaves_the_split_unused() {
    let changes = shop()
        .into_iter()
        .chain([Change::Namespace("shop".into(), Some(false)), split("canary", "2026-01-01T00:00:00Z", canary())]);
    let (_, status) = told(&world(changes), "canary");
    assert_eq!(words(&status)[2..], ["Programmed True Unused", "Ready True Ready"]);
}

#[test]
fn shares_are_those_of_backends_that_can_answer() {
    let three =
        json!([{"service": "v1", "weight": 1}, {"service": "v2", "weight": 1}, {"service": "web", "weight": 1}]);
    let none = || vec![("v1", false), ("v2", false), ("web", false)];
    let rows = [
        ("thirds", vec![], [33, 33, 33]),
        ("one away", vec![("v2", false)], [50, 0, 50]),
        ("all away", none(), [0, 0, 0]),
    ];
    for (name, slices, expected) in rows {
        let slices =
            slices.into_iter().map(|(name, ready)| Change::Slice(at(name), Some(slice(name, &[(name, ready)]))));
        let world =
            world(shop().into_iter().chain(slices).chain([split("canary", "2026-01-01T00:00:00Z", three.clone())]));
        let (_, status) = told(&world, "canary");
        assert_eq!(status.backends.iter().map(|b| b.effective_percent).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn written_and_told_on_change_of_meaning_only() {
    let mut world = world(shop().into_iter().chain([split("canary", "2026-01-01T00:00:00Z", canary())]));
    let (_, status) = told(&world, "canary");
    let see = |world: &mut World, backends: Value, status: TrafficSplitStatus| {
        let Change::TrafficSplit(_, Some(object)) = split("canary", "2026-01-01T00:00:00Z", backends) else {
            unreachable!()
        };
        let mut object = (*object).clone();
        object.status = Some(status);
        world.take_in(Change::TrafficSplit(at("canary"), Some(Arc::new(object))), &mut Default::default());
    };
    see(&mut world, canary(), status.clone());
    assert!(plan(&at("canary"), &world, &settings(), Timestamp::now()).is_none(), "time alone changes nothing");
    see(&mut world, json!([{"service": "v1", "weight": 50}, {"service": "v2", "weight": 50}]), status);
    let (report, status) = told(&world, "canary");
    assert_eq!(status.weights.as_deref(), Some("50/50"));
    let notes: Vec<_> = report.notes.iter().map(|note| (note.reason, note.text.as_str())).collect();
    assert_eq!(notes, [("WeightChanged", "weights of web (v1/v2): 90/10 → 50/50")]);
}
