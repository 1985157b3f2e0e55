use serde_json::{Value, json};
use tulle_core::authz::{Call, PolicySet, Verdict, Workload};

use super::super::object::Kind;
use super::super::store::Kept;
use super::super::testing::{NS, apply, list, meta, store};
use super::super::{needs::Home, policies};

fn home() -> Home {
    Home { namespace: NS.into(), system_namespace: "tulle-system".into() }
}

fn policy(version: u64, spec: Value) -> Value {
    json!({"metadata": meta("guard", version), "spec": spec})
}

/// Whether a call without identity to a pod with these labels is allowed.
fn open(set: &PolicySet) -> bool {
    matches!(set.authorize(&Call { peer: None, port: 80, http: None }), Verdict::Permit(_))
}

#[test]
fn a_policy_that_cannot_be_read_closes_what_it_selects() {
    let unreadable = json!({"action": "PERHAPS", "rules": []});
    let rows = [
        ("no policy", None, true),
        ("readable", Some(json!({"mtls": {"mode": "STRICT"}})), true),
        ("unreadable", Some(json!({"authorization": unreadable})), false),
        (
            "unreadable, for us",
            Some(json!({"selector": {"matchLabels": {"app": "web"}}, "authorization": unreadable})),
            false,
        ),
        (
            "unreadable, for others",
            Some(json!({"selector": {"matchLabels": {"app": "db"}}, "authorization": unreadable})),
            true,
        ),
        ("no policy at all", Some(json!({"selector": "everybody"})), false),
    ];
    for (name, spec, want) in rows {
        let mut store = store();
        store.set_labels([("app".to_owned(), "web".to_owned())].into());
        list(&mut store, Kind::MeshPolicy, spec.map(|spec| policy(1, spec)).into_iter().collect());
        assert_eq!(open(&policies::build(&store, &home())), want, "{name}");
    }
}

#[test]
fn a_policy_that_becomes_unreadable_keeps_its_last_good_version() {
    let mut store = store();
    store.set_labels([].into());
    list(&mut store, Kind::MeshPolicy, vec![policy(1, json!({"mtls": {"mode": "STRICT"}}))]);
    let complaints = apply(&mut store, Kind::MeshPolicy, policy(2, json!({"mtls": {"mode": "SOMETIMES"}})));
    assert!(complaints[0].kept == Kept::Last && complaints[0].error.contains("spec.mtls.mode"), "{complaints:?}");
    assert!(open(&policies::build(&store, &home())));
}

#[test]
fn before_the_policies_are_known_nothing_is_allowed() {
    assert!(!open(&policies::unknown(&home())));
    let mut store = store();
    assert!(!policies::known(&store, &home()));
    list(&mut store, Kind::MeshPolicy, vec![]);
    store.set_labels([].into());
    assert!(!policies::known(&store, &home()), "those of the system namespace are missing");
    let home = Home { system_namespace: NS.into(), ..home() };
    assert!(policies::known(&store, &home), "one namespace may be both");
    let workload = Workload { namespace: NS.into(), labels: [].into() };
    assert_eq!(policies::build(&store, &home), PolicySet::new([], &workload, &home.system_namespace));
}
