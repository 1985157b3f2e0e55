use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::addresses::{Addresses, Binding};
use super::super::build::{Built, Frame, build};
use super::super::needs::Home;
use super::super::testing::{NS, object, scope, service, slice, split, store, virtual_service};
use super::*;

const KINDS: [Kind; 4] = [Kind::MeshService, Kind::EndpointSlice, Kind::TrafficSplit, Kind::VirtualService];
const NAMES: [&str; 3] = ["web", "web-old", "web-new"];

/// One write to the cluster: an object of a kind becomes this content, or is deleted.
#[derive(Clone, Copy, Debug)]
struct Write {
    kind: usize,
    name: usize,
    content: Option<u8>,
}

/// What a watch does with one write.
#[derive(Clone, Copy, Debug)]
enum Noise {
    /// Tells it.
    Tell,
    /// Tells it, and tells it again.
    Twice,
    /// Misses it, and lists everything instead, as after 410 Gone.
    Relist,
}

fn manifest(write: Write, version: u64, uid: u64) -> Value {
    let content = write.content.unwrap_or_default();
    let name = NAMES[write.name];
    let others = [NAMES[(write.name + 1) % 3], NAMES[(write.name + 2) % 3]];
    let mut manifest = match KINDS[write.kind] {
        Kind::MeshService => {
            let mut manifest = service(name, &format!("10.96.0.{}", write.name), version);
            manifest["spec"]["outside"] =
                if content.is_multiple_of(2) { json!([]) } else { json!([format!("{name}-10-0-0-1")]) };
            manifest
        }
        Kind::EndpointSlice => {
            let all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
            slice(name, &all[..usize::from(content) % 4], version)
        }
        Kind::TrafficSplit => split(name, name, &[(name, i64::from(content % 3)), (others[0], 1)], version),
        _ => {
            let http = json!([{"route": [{"destination": {"host": others[usize::from(content) % 2]}}]}]);
            virtual_service(name, name, http, version)
        }
    };
    manifest["metadata"]["uid"] = json!(format!("uid-{uid}"));
    manifest
}

/// The cluster: what each scope holds after each write.
fn history(writes: &[Write]) -> Vec<(Kind, BTreeMap<usize, Value>, Option<Value>)> {
    let mut state: BTreeMap<usize, BTreeMap<usize, Value>> = BTreeMap::new();
    let mut all = Vec::new();
    for (at, write) in writes.iter().enumerate() {
        let version = at as u64 + 10;
        let objects = state.entry(write.kind).or_default();
        let old = objects.remove(&write.name);
        let deleted = match (write.content, old) {
            (Some(_), old) => {
                let uid = old.and_then(|old| old["metadata"]["uid"].as_str()?.strip_prefix("uid-")?.parse().ok());
                objects.insert(write.name, manifest(*write, version, uid.unwrap_or(version)));
                None
            }
            (None, Some(old)) => Some(old),
            (None, None) => continue,
        };
        all.push((KINDS[write.kind], objects.clone(), deleted));
    }
    all
}

fn listed(store: &mut Store, kind: Kind, objects: &BTreeMap<usize, Value>) {
    let list = objects.values().map(|manifest| object(kind, manifest.clone())).collect();
    store.take(&scope(kind), Change::Listed(Selection::All, list));
}

fn targets(store: &Store) -> Vec<String> {
    let home = Home { namespace: NS.into(), system_namespace: "tulle-system".into() };
    let frame = Frame { home, prefer_ipv4: true };
    let mut addresses = Addresses::default();
    for (at, name) in NAMES.iter().enumerate() {
        let address = format!("10.96.0.{at}").parse().unwrap();
        addresses.bind(address, Binding::Service(ServiceRef::new(NS, *name)), true, Duration::ZERO);
    }
    let Some(built) = build(store, &addresses, &frame, &Built::nothing(&frame)) else { return Vec::new() };
    let mut targets: Vec<_> = built.snapshot.targets.iter().map(|target| format!("{target:?}")).collect();
    targets.sort();
    targets
}

fn writes() -> impl Strategy<Value = Vec<(Write, Noise)>> {
    let write = (0..KINDS.len(), 0..NAMES.len(), prop::option::weighted(0.8, any::<u8>()))
        .prop_map(|(kind, name, content)| Write { kind, name, content });
    let noise = prop_oneof![6 => Just(Noise::Tell), 2 => Just(Noise::Twice), 2 => Just(Noise::Relist)];
    prop::collection::vec((write, noise), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is told twice, missed and listed again: at the end the store means what a list of the cluster means.
    #[test]
    fn every_way_of_hearing_a_history_ends_in_the_same_snapshot(told in writes(), interleave in any::<u64>()) {
        let writes: Vec<Write> = told.iter().map(|(write, _)| *write).collect();
        let history = history(&writes);
        let mut heard = store();
        let mut fresh = store();
        for kind in KINDS {
            listed(&mut heard, kind, &BTreeMap::new());
            let last = history.iter().rev().find(|(of, ..)| *of == kind).map(|(_, objects, _)| objects.clone());
            listed(&mut fresh, kind, &last.unwrap_or_default());
        }
        // Each kind is its own stream: within it the order of writes holds, between them there is none.
        let mut order: Vec<Kind> = KINDS.to_vec();
        order.rotate_left((interleave % 4) as usize);
        for kind in order {
            let stream: Vec<_> = history.iter().zip(&told).filter(|((of, ..), _)| *of == kind).collect();
            for (at, ((_, objects, deleted), (_, noise))) in stream.iter().enumerate() {
                let before = at.checked_sub(1).map(|at| stream[at].0.1.clone()).unwrap_or_default();
                let changed = objects.iter().find(|(name, manifest)| before.get(*name) != Some(*manifest));
                match (noise, deleted, changed) {
                    (Noise::Relist, ..) => listed(&mut heard, kind, objects),
                    (_, Some(deleted), _) => {
                        let meta = object(kind, deleted.clone()).meta;
                        heard.take(&scope(kind), Change::Deleted(meta));
                    }
                    (noise, None, Some((_, manifest))) => {
                        let times = if matches!(noise, Noise::Twice) { 2 } else { 1 };
                        for _ in 0..times {
                            heard.take(&scope(kind), Change::Applied(object(kind, manifest.clone())));
                        }
                        if let (Noise::Twice, Some(stale)) = (noise, before.values().next()) {
                            let still = objects.values().any(|now| now["metadata"]["uid"] == stale["metadata"]["uid"]);
                            if still {
                                heard.take(&scope(kind), Change::Applied(object(kind, stale.clone())));
                            }
                        }
                    }
                    (_, None, None) => {}
                }
            }
        }
        prop_assert_eq!(targets(&heard), targets(&fresh));
    }
}

#[test]
fn the_trust_bundle_outlives_its_config_map() {
    let bundle = |version: u64, data: Value| {
        let mut metadata = super::super::testing::meta("tulle-trust-bundle", version);
        metadata["uid"] = json!(format!("uid-{version}"));
        object(Kind::TrustBundle, json!({"metadata": metadata, "data": data}))
    };
    let mut store = store();
    let scope = scope(Kind::TrustBundle);
    assert_eq!(store.bundle(), None);
    store.take(&scope, Change::Listed(Selection::All, vec![bundle(1, json!({"ca.crt": "PEM 1"}))]));
    store.take(&scope, Change::Deleted(bundle(1, json!({})).meta));
    assert_eq!(store.bundle().map(|pem| &pem[..]), Some(&b"PEM 1"[..]), "deleted");
    let complaints = store.take(&scope, Change::Applied(bundle(2, json!({}))));
    assert!(complaints[0].error.contains("ca.crt"), "{complaints:?}");
    assert_eq!(store.bundle().map(|pem| &pem[..]), Some(&b"PEM 1"[..]), "made anew without the key");
    store.take(&scope, Change::Applied(bundle(3, json!({"ca.crt": "PEM 2"}))));
    assert_eq!(store.bundle().map(|pem| &pem[..]), Some(&b"PEM 2"[..]));
}

#[test]
fn policies_count_their_changes() {
    let mut store = store();
    let before = store.policy_revision();
    store.set_labels(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
    let labelled = store.policy_revision();
    assert_ne!(labelled, before);
    store.set_labels(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
    assert_eq!(store.policy_revision(), labelled);
}

#[test]
fn a_dropped_scope_leaves_nothing_behind() {
    let mut store = store();
    for kind in KINDS {
        listed(&mut store, kind, &BTreeMap::new());
    }
    for kind in KINDS {
        assert!(store.world(&NS.into()).is_some());
        store.forget(&scope(kind));
    }
    assert!(store.world(&NS.into()).is_none());
}
