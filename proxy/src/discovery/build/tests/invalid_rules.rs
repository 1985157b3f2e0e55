//! VirtualServices of which only a part can be read.

use tulle_core::route::Action;

use super::*;

fn rule(path: &str, to: &str, timeout: &str) -> Value {
    json!({"match": [{"uri": {"exact": path}}], "route": [{"destination": {"host": to}}], "timeout": timeout})
}

fn good(path: &str, to: &str) -> Value {
    rule(path, to, "1s")
}

fn bad(path: &str) -> Value {
    rule(path, "web", "soon")
}

/// Where each rule of `web` leads: to endpoints, or nowhere.
fn leads(store: &Store) -> Vec<String> {
    let built = first(store, &dialled(&[(WEB, "web")]));
    let rules = &service_at(&built, WEB).port(80).unwrap().routes.rules;
    let leads = |rule: &Rule<Arc<Destination>>| match &rule.action {
        Action::Invalid => "-".to_owned(),
        _ => rule.destinations().flat_map(|to| shown(to)).collect(),
    };
    rules.iter().map(leads).collect()
}

#[test]
fn the_other_rules_act_and_a_bad_one_does_what_it_did() {
    let (old, new) = ("web-old 1 10.0.1.1:8080", "web-new 1 10.0.2.1:8080");
    let second = |version| virtual_service("r", "web", json!([bad("/a"), good("/b", "web-new"), bad("/c")]), version);
    let mut store = shop();
    let whole = virtual_service("r", "web", json!([good("/a", "web-old"), good("/b", "web-old")]), 2);
    assert_eq!(apply(&mut store, Kind::VirtualService, whole), []);
    assert_eq!(leads(&store), [old, old]);

    let complaints = apply(&mut store, Kind::VirtualService, second(3));
    assert_eq!(complaints[0].kept, Kept::Rest, "{complaints:?}");
    assert!(
        complaints[0].error.starts_with("Dropped Rule http[0], http[2]: TUL3001: spec.http[0].timeout"),
        "{complaints:?}"
    );
    assert_eq!(leads(&store), [old, new, "-"]);
    let told = store.applied();
    assert_eq!((told[0].generation, told[0].error.is_some()), (3, true), "and the object is told to be refused");

    let mut fresh = shop();
    apply(&mut fresh, Kind::VirtualService, second(3));
    assert_eq!(leads(&fresh), ["-", new, "-"], "a proxy that never saw a good version refuses");

    let mut recreated = second(4);
    recreated["metadata"]["uid"] = json!("another");
    apply(&mut store, Kind::VirtualService, recreated);
    assert_eq!(leads(&store), ["-", new, "-"], "another object of that name inherits nothing");

    let mended = virtual_service("r", "web", json!([good("/a", "web-new")]), 5);
    assert_eq!(apply(&mut store, Kind::VirtualService, mended), []);
    assert_eq!((leads(&store), store.applied()[0].error.clone()), (vec![new.to_owned()], None));
}

#[test]
fn conditions_that_cannot_be_read_keep_the_whole_version() {
    let mut store = shop();
    apply(&mut store, Kind::VirtualService, virtual_service("r", "web", json!([good("/a", "web-old")]), 2));
    let mut unclear = good("/b", "web-new");
    unclear["match"][0]["method"] = json!({});
    let http = json!([good("/a", "web-new"), unclear]);
    let complaints = apply(&mut store, Kind::VirtualService, virtual_service("r", "web", http, 3));
    assert_eq!(complaints[0].kept, Kept::Last, "{complaints:?}");
    assert_eq!(leads(&store), ["web-old 1 10.0.1.1:8080"]);
}
