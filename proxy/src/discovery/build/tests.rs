use serde_json::{Value, json};
use tulle_core::name::Namespace;
use tulle_core::route::bytes::ByteRule;
use tulle_core::route::{Balance, Rule};
use tulle_core::snapshot::Transport;

use super::super::object::{Kind, Scope};
use super::super::plan::Selection;
use super::super::store::{Change, Kept};
use super::super::testing::{NS, apply, list, object, scope, service, slice, split, store, virtual_service};
use super::*;

mod invalid_rules;
mod wildcards;

const WEB: &str = "10.96.0.10";
const OLD: &str = "10.96.0.11";
const NEW: &str = "10.96.0.12";

fn frame() -> Frame {
    let home = Home { namespace: Namespace::from(NS), system_namespace: Namespace::from("tulle-system") };
    Frame { home, prefer_ipv4: true }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace with three Services of one endpoint each: `web`, `web-old` and `web-new`.
fn shop() -> Store {
    let mut store = store();
    list(
        &mut store,
        Kind::MeshService,
        vec![service("web", WEB, 1), service("web-old", OLD, 1), service("web-new", NEW, 1)],
    );
    list(
        &mut store,
        Kind::EndpointSlice,
        vec![slice("web", &["10.0.0.1"], 1), slice("web-old", &["10.0.1.1"], 1), slice("web-new", &["10.0.2.1"], 1)],
    );
    list(&mut store, Kind::VirtualService, vec![]);
    list(&mut store, Kind::TrafficSplit, vec![]);
    store
}

fn dialled(addresses: &[(&str, &str)]) -> Addresses {
    let mut known = Addresses::default();
    for (address, name) in addresses {
        known.bind(ip(address), Binding::Service(ServiceRef::new(NS, *name)), true, std::time::Duration::ZERO);
    }
    known
}

fn first(store: &Store, addresses: &Addresses) -> Built {
    build(store, addresses, &frame(), &Built::nothing(&frame())).expect("something is known")
}

fn service_at<'a>(built: &'a Built, address: &str) -> &'a Arc<Service> {
    match built.snapshot.targets.get(&ip(address)) {
        Some(Target::Service(service)) => service,
        other => panic!("{address} is {other:?}"),
    }
}

/// `service weight endpoint,…` of each backend.
fn shown(destination: &Destination) -> Vec<String> {
    let Some(backends) = &destination.backends else { return Vec::new() };
    let endpoints =
        |backend: &Backend| backend.endpoints.iter().map(|e| e.address.to_string()).collect::<Vec<_>>().join(",");
    backends.entries().map(|(b, weight)| format!("{} {} {}", b.service.name, weight.0, endpoints(b))).collect()
}

fn direct(store: &Store) -> Vec<String> {
    let built = first(store, &dialled(&[(WEB, "web")]));
    shown(&service_at(&built, WEB).port(80).unwrap().direct)
}

#[test]
fn a_split_applies_to_the_dialled_service() {
    type Row = (&'static str, &'static [(&'static str, i64)], &'static [&'static str]);
    let rows: [Row; 6] = [
        ("canary", &[("web-old", 90), ("web-new", 10)], &["web-old 90 10.0.1.1:8080", "web-new 10 10.0.2.1:8080"]),
        (
            "the apex means its own endpoints",
            &[("web", 90), ("web-new", 10)],
            &["web 90 10.0.0.1:8080", "web-new 10 10.0.2.1:8080"],
        ),
        ("no share", &[("web-old", 1), ("web-new", 0)], &["web-old 1 10.0.1.1:8080", "web-new 0 10.0.2.1:8080"]),
        ("a backend that does not exist", &[("web-old", 50), ("gone", 50)], &["web-old 50 10.0.1.1:8080"]),
        ("full name", &[("web-new.shop.svc.cluster.local", 1)], &["web-new 1 10.0.2.1:8080"]),
        ("only backends that do not exist", &[("gone", 1)], &[]),
    ];
    for (name, shares, want) in rows {
        let mut store = shop();
        let complaints = apply(&mut store, Kind::TrafficSplit, split("canary", "web", shares, 2));
        assert_eq!(complaints, [], "{name}");
        assert_eq!(direct(&store), want, "{name}");
    }
}

#[test]
fn without_a_split_the_service_answers_itself() {
    assert_eq!(direct(&shop()), ["web 1 10.0.0.1:8080"]);
}

#[test]
fn a_backend_without_endpoints_leaves_its_share_to_the_others() {
    let mut store = shop();
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 90), ("web-new", 10)], 2));
    apply(&mut store, Kind::EndpointSlice, slice("web-new", &[], 2));
    assert_eq!(direct(&store), ["web-old 90 10.0.1.1:8080"]);
    apply(&mut store, Kind::EndpointSlice, slice("web-new", &["10.0.2.9"], 3));
    assert_eq!(direct(&store), ["web-old 90 10.0.1.1:8080", "web-new 10 10.0.2.9:8080"]);
}

#[test]
fn a_backend_without_the_port_receives_nothing() {
    let mut store = shop();
    let mut other_port = service("web-new", NEW, 2);
    other_port["spec"]["ports"][0]["port"] = json!(81);
    apply(&mut store, Kind::MeshService, other_port);
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 90), ("web-new", 10)], 2));
    assert_eq!(direct(&store), ["web-old 90 10.0.1.1:8080"]);
}

#[test]
fn an_invalid_split_keeps_the_last_good_one() {
    let mut store = shop();
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 90), ("web-new", 10)], 2));
    let complaints = apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", -1)], 3));
    assert!(
        complaints[0].kept == Kept::Last && complaints[0].error.contains("spec.backends[0].weight"),
        "{complaints:?}"
    );
    assert_eq!(direct(&store), ["web-old 90 10.0.1.1:8080", "web-new 10 10.0.2.1:8080"]);
    let applied = store.applied();
    assert_eq!((applied[0].version, applied[0].error.is_some()), (3, true));
}

#[test]
fn a_spec_that_is_no_spec_keeps_the_last_good_one_too() {
    let mut store = shop();
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-new", 1)], 2));
    let mut broken = split("canary", "web", &[], 3);
    broken["spec"]["backends"] = json!("all of them");
    assert_eq!(apply(&mut store, Kind::TrafficSplit, broken)[0].kept, Kept::Last);
    assert_eq!(direct(&store), ["web-new 1 10.0.2.1:8080"]);
}

#[test]
fn of_two_splits_the_older_is_in_force() {
    let mut store = shop();
    let mut younger = split("a-younger", "web", &[("web-new", 1)], 2);
    younger["metadata"]["creationTimestamp"] = json!("2026-02-01T00:00:00Z");
    apply(&mut store, Kind::TrafficSplit, younger);
    apply(&mut store, Kind::TrafficSplit, split("older", "web", &[("web-old", 1)], 2));
    assert_eq!(direct(&store), ["web-old 1 10.0.1.1:8080"]);
}

#[test]
fn a_split_of_some_requests_leaves_the_others_to_the_host_itself() {
    let mut store = shop();
    let mut testers = split("testers", "web", &[("web-new", 1)], 2);
    testers["spec"]["matches"] = json!([{"headers": {"x-user": "test"}}]);
    assert_eq!(apply(&mut store, Kind::TrafficSplit, testers), []);
    let built = first(&store, &dialled(&[(WEB, "web")]));
    let direct = Arc::clone(&service_at(&built, WEB).port(80).unwrap().direct);
    assert_eq!(shown(&direct), ["web-new 1 10.0.2.1:8080"]);
    let only = direct.only.as_ref().unwrap();
    assert_eq!((only.matches.len(), &*only.others.as_ref().unwrap().service.name), (1, "web"));
    apply(&mut store, Kind::TrafficSplit, split("testers", "web", &[("web-new", 1)], 3));
    let built = first(&store, &dialled(&[(WEB, "web")]));
    assert_eq!(service_at(&built, WEB).port(80).unwrap().direct.only, None);
}

#[test]
fn a_route_chooses_a_host_and_the_split_on_it_a_backend() {
    let mut store = shop();
    let http = json!([
        {"match": [{"uri": {"prefix": "/new"}}], "route": [{"destination": {"host": "web-new"}}]},
        {"route": [{"destination": {"host": "web"}}]},
    ]);
    assert_eq!(apply(&mut store, Kind::VirtualService, virtual_service("web", "web", http, 2)), []);
    apply(&mut store, Kind::TrafficSplit, split("canary", "web-new", &[("web-new", 50), ("web-old", 50)], 2));
    let built = first(&store, &dialled(&[(WEB, "web")]));
    let port = service_at(&built, WEB).port(80).unwrap();
    let rules: Vec<_> = port.routes.rules.iter().flat_map(Rule::destinations).map(|to| shown(to)).collect();
    assert_eq!(
        rules,
        [
            vec!["web-new 50 10.0.2.1:8080".to_owned(), "web-old 50 10.0.1.1:8080".to_owned()],
            vec!["web 1 10.0.0.1:8080".to_owned()],
        ]
    );
    assert_eq!(shown(&port.direct), ["web 1 10.0.0.1:8080"]);
}

/// Rules that send to two subsets of `web`, and a third without endpoints.
fn canary(weights: [i64; 3], version: u64) -> Value {
    let shares: Vec<_> = ["v1", "v2", "v3"]
        .iter()
        .zip(weights)
        .map(|(name, weight)| json!({"destination": {"host": "web", "subset": name}, "weight": weight}))
        .collect();
    let mut manifest = virtual_service("web", "web", json!([{"route": shares}]), version);
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    manifest["spec"]["subsets"] = json!([subset("v1"), subset("v2"), subset("v3")]);
    manifest
}

/// `web` with three pods, of which the operator says these labels: (pods, version).
fn labelled(store: &mut Store, workloads: &[(&str, &str)], version: u64) {
    let workloads: Vec<_> =
        workloads.iter().map(|(pods, version)| json!({"pods": pods, "labels": {"version": version}})).collect();
    let mut web = service("web", WEB, version);
    web["spec"]["workloads"] = json!(workloads);
    assert_eq!(apply(store, Kind::MeshService, web), []);
}

/// What each destination of the first rule leads to.
fn branches(store: &Store) -> Vec<String> {
    let built = first(store, &dialled(&[(WEB, "web")]));
    let port = service_at(&built, WEB).port(80).unwrap();
    let to = |destination: &Arc<Destination>| {
        let label = destination.label();
        assert!(destination.backends.iter().all(|split| split.entries().all(|(backend, _)| backend.label() == label)));
        format!("{label}: {}", shown(destination).join(","))
    };
    port.routes.rules[0].destinations().map(to).collect()
}

#[test]
fn a_subset_is_the_endpoints_whose_pods_have_its_labels() {
    let mut store = shop();
    apply(&mut store, Kind::EndpointSlice, slice("web", &["10.0.0.1", "10.0.0.2", "10.0.0.3"], 2));
    assert_eq!(apply(&mut store, Kind::VirtualService, canary([1, 1, 1], 2)), []);
    // The split on the host is for those who mean the host.
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 1)], 2));
    assert_eq!(branches(&store), ["web/v1: ", "web/v2: ", "web/v3: "], "an operator that says nothing of labels");

    labelled(&mut store, &[("web-10-0-0-*", "v1"), ("web-10-0-0-2", "v2")], 2);
    let v1 = "web/v1: web 1 10.0.0.1:8080,10.0.0.3:8080";
    assert_eq!(branches(&store), [v1, "web/v2: web 1 10.0.0.2:8080", "web/v3: "]);

    // A pod gets another label, and traffic follows.
    labelled(&mut store, &[("web-10-0-0-*", "v1"), ("web-10-0-0-2", "v2"), ("web-10-0-0-3", "v2")], 3);
    let moved = ["web/v1: web 1 10.0.0.1:8080", "web/v2: web 1 10.0.0.2:8080,10.0.0.3:8080", "web/v3: "];
    assert_eq!(branches(&store), moved);

    // One edit moves weights and subsets together.
    let mut edited = canary([1, 0, 0], 3);
    edited["spec"]["subsets"][0]["labels"] = json!({"version": "v2"});
    assert_eq!(apply(&mut store, Kind::VirtualService, edited), []);
    assert_eq!(branches(&store)[0], "web/v1: web 1 10.0.0.2:8080,10.0.0.3:8080");
    assert_eq!(direct(&store), ["web-old 1 10.0.1.1:8080"]);
}

#[test]
fn bytes_and_mirrors_are_sent_to_subsets_too() {
    let mut store = shop();
    apply(&mut store, Kind::EndpointSlice, slice("web", &["10.0.0.1", "10.0.0.2"], 2));
    labelled(&mut store, &[("web-10-0-0-*", "v1"), ("web-10-0-0-2", "v2")], 2);
    let to = json!({"host": "web", "subset": "v2"});
    let mut manifest = canary([1, 0, 0], 2);
    manifest["spec"]["http"] = json!([{"route": [{"destination": {"host": "web"}}], "mirrors": [{"destination": to}]}]);
    manifest["spec"]["tcp"] = json!([{"route": [{"destination": to}]}]);
    assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
    assert_eq!(branches(&store), ["web: web 1 10.0.0.1:8080,10.0.0.2:8080", "web/v2: web 1 10.0.0.2:8080"]);
    let built = first(&store, &dialled(&[(WEB, "web")]));
    let bytes = &service_at(&built, WEB).port(80).unwrap().bytes;
    let to: Vec<_> = bytes.rules().flat_map(ByteRule::destinations).map(|to| shown(to)).collect();
    assert_eq!(to, [["web 1 10.0.0.2:8080"]]);
}

#[test]
fn a_policy_is_for_the_destinations_of_its_object_and_for_all_that_a_split_makes_of_them() {
    let mut store = shop();
    let mut manifest = canary([1, 1, 0], 2);
    let to = |subset: Option<&str>| json!({"destination": {"host": "web", "subset": subset}, "weight": 1});
    manifest["spec"]["http"] = json!([{"route": [to(None), to(Some("v1")), to(Some("v2"))]}]);
    manifest["spec"]["trafficPolicy"] = json!({"loadBalancer": {"simple": "ROUND_ROBIN"}});
    manifest["spec"]["subsets"][1]["trafficPolicy"] = json!({"loadBalancer": {"simple": "RANDOM"}});
    assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
    labelled(&mut store, &[("web-10-0-0-*", "v1"), ("web-10-0-0-1", "v2")], 2);
    apply(&mut store, Kind::EndpointSlice, slice("web", &["10.0.0.1", "10.0.0.2"], 2));
    let balances = |store: &Store| -> Vec<Vec<(Arc<str>, Balance)>> {
        let built = first(store, &dialled(&[(WEB, "web")]));
        let port = service_at(&built, WEB).port(80).unwrap();
        let of = |to: &Arc<Destination>| {
            let backends = to.backends.iter().flat_map(|split| split.entries().map(|(backend, _)| backend));
            backends.map(|backend| (backend.label(), backend.policy.balance)).collect()
        };
        port.routes.rules[0].destinations().chain([&port.direct]).map(of).collect()
    };
    let own = |name: &str, balance| vec![(Arc::from(name), balance)];
    let subsets = [own("web/v1", Balance::RoundRobin), own("web/v2", Balance::Random)];
    let [v1, v2] = subsets;
    let (routed, direct) = (own("web", Balance::RoundRobin), own("web", Balance::LeastRequest));
    assert_eq!(balances(&store), [routed, v1.clone(), v2.clone(), direct]);
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 1), ("web-new", 1)], 2));
    let both = |balance| [own("web-old", balance), own("web-new", balance)].concat();
    assert_eq!(balances(&store), [both(Balance::RoundRobin), v1, v2, both(Balance::LeastRequest)]);
}

/// What is the same keeps its pointer, and with it its connections and counters, whatever happens to the other subset.
#[test]
fn a_subset_that_did_not_change_is_taken_over() {
    let mut store = shop();
    apply(&mut store, Kind::EndpointSlice, slice("web", &["10.0.0.1", "10.0.0.2"], 2));
    labelled(&mut store, &[("web-10-0-0-*", "v1"), ("web-10-0-0-2", "v2")], 2);
    apply(&mut store, Kind::VirtualService, canary([1, 1, 0], 2));
    let addresses = dialled(&[(WEB, "web")]);
    let before = first(&store, &addresses);
    let third = slice("web", &["10.0.0.1", "10.0.0.2", "10.0.0.4"], 3);
    apply(&mut store, Kind::EndpointSlice, third);
    let after = build(&store, &addresses, &frame(), &before).expect("v1 has one more");
    let backends = |built: &Built| -> Vec<Arc<Backend>> {
        let rules = &service_at(built, WEB).port(80).unwrap().routes.rules;
        let splits = rules.iter().flat_map(Rule::destinations).filter_map(|to| to.backends.as_ref());
        splits.map(|split| Arc::clone(split.pick(0))).collect()
    };
    let same: Vec<bool> = backends(&before).iter().zip(&backends(&after)).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [false, true]);
}

/// The figure is for ADR 0024.
#[test]
fn a_change_among_a_thousand_pods_in_subsets_is_taken_over_in_time() {
    const SUBSETS: usize = 32;
    let mut store = shop();
    let name = |subset: usize| format!("v{subset}");
    let workloads: Vec<_> = (0..SUBSETS)
        .map(|subset| json!({"pods": format!("web-{subset}-*"), "labels": {"app": "web", "version": name(subset)}}))
        .collect();
    let mut web = service("web", WEB, 2);
    web["spec"]["workloads"] = json!(workloads);
    apply(&mut store, Kind::MeshService, web);
    let hundred = |number: usize, absent: Option<usize>, version| {
        let pods = (0..100).filter(|pod| Some(*pod) != absent);
        let mut slice = slice("web", &[], version);
        slice["metadata"]["name"] = json!(format!("web-{number}"));
        let endpoint = |pod: usize| {
            let target = json!({"kind": "Pod", "name": format!("web-{}-{number}{pod}", pod % SUBSETS)});
            json!({"addresses": [format!("10.1.{number}.{pod}")], "conditions": {"ready": true}, "targetRef": target})
        };
        slice["endpoints"] = json!(pods.map(endpoint).collect::<Vec<_>>());
        slice
    };
    for number in 0..10 {
        apply(&mut store, Kind::EndpointSlice, hundred(number, None, 2));
    }
    let to = |subset| json!({"destination": {"host": "web", "subset": name(subset)}});
    let rules: Vec<_> = (0..SUBSETS)
        .map(|subset| json!({"match": [{"uri": {"exact": format!("/{subset}")}}], "route": [to(subset)]}))
        .collect();
    let mut manifest = virtual_service("web", "web", json!(rules), 2);
    let subset = |number| json!({"name": name(number), "labels": {"version": name(number)}});
    manifest["spec"]["subsets"] = json!((0..SUBSETS).map(subset).collect::<Vec<_>>());
    assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
    let addresses = dialled(&[(WEB, "web")]);
    let before = first(&store, &addresses);
    apply(&mut store, Kind::EndpointSlice, hundred(3, Some(5), 3));
    let began = std::time::Instant::now();
    let after = build(&store, &addresses, &frame(), &before).expect("one pod is gone");
    let took = began.elapsed();
    eprintln!("1,000 pods in {SUBSETS} subsets: {took:?}");
    let endpoints = |built: &Built| -> Vec<usize> {
        let rules = &service_at(built, WEB).port(80).unwrap().routes.rules;
        let backends = rules.iter().flat_map(Rule::destinations).filter_map(|to| to.backends.as_ref());
        backends.map(|split| split.pick(0).endpoints.len()).collect()
    };
    let (before, after) = (endpoints(&before), endpoints(&after));
    assert_eq!((before.len(), before.iter().sum::<usize>()), (SUBSETS, 1000));
    assert_eq!(after[5] + 1, before[5]);
    assert!(took < std::time::Duration::from_secs(1), "{took:?}, unoptimised");
}

#[test]
fn a_rule_for_another_port_is_not_seen_but_still_speaks_for_the_host() {
    let mut store = shop();
    let http = json!([{"match": [{"port": 81}], "route": [{"destination": {"host": "web-new"}}]}]);
    assert_eq!(apply(&mut store, Kind::VirtualService, virtual_service("web", "web", http, 2)), []);
    let built = first(&store, &dialled(&[(WEB, "web")]));
    let table = &service_at(&built, WEB).port(80).unwrap().routes;
    assert!(
        !table.is_empty() && table.rules[0].matches.iter().all(|condition| condition.port == Some(81)),
        "{table:?}"
    );
}

#[test]
fn rules_for_other_callers_are_not_seen() {
    let mut store = shop();
    let canary =
        |key: &str, value: Value| json!({"match": [{key: value}], "route": [{"destination": {"host": "web-new"}}]});
    let http = json!([
        canary("sourceNamespace", json!("bank")),
        canary("sourceNamespace", json!("shop")),
        canary("sourceLabels", json!({"track": "canary"})),
        {"route": [{"destination": {"host": "web"}}]},
    ]);
    let manifest = virtual_service("web", "web", http, 2);
    assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
    let addresses = dialled(&[(WEB, "web")]);
    let seen = |store: &Store| {
        let built = build(store, &addresses, &frame(), &Built::nothing(&frame()))?;
        let rules = &service_at(&built, WEB).port(80)?.routes.rules;
        Some(rules.iter().filter_map(|rule| Some(rule.name.rsplit(' ').next()?.to_owned())).collect::<Vec<_>>())
    };
    assert_eq!(seen(&store), None, "it is not known which labels this pod has");
    let labels = |track: &str| [("track".to_owned(), track.to_owned())].into();
    store.set_labels(labels("stable"));
    assert_eq!(seen(&store).unwrap(), ["http[1]", "http[3]"]);
    store.set_labels(labels("canary"));
    assert_eq!(seen(&store).unwrap(), ["http[1]", "http[2]", "http[3]"]);
}

#[test]
fn rules_for_bytes_are_merged_and_resolved_as_those_for_requests_are() {
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    let object = |name: &str, lists: Value, created: &str| {
        let mut manifest = virtual_service(name, "web", json!([]), 2);
        manifest["spec"] = lists;
        manifest["spec"]["hosts"] = json!(["web"]);
        manifest["metadata"]["creationTimestamp"] = json!(created);
        manifest
    };
    let named = |host: &str, more: Value| {
        let mut condition = json!({"sniHosts": [host]});
        condition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"match": [condition], "route": to("web-old")})
    };
    let young = json!({
        "tls": [named("a", json!({"port": 81})), named("b", json!({"port": 80}))],
        "tcp": [{"match": [{"sourceNamespace": "bank"}], "route": to("web")}, {"route": to("web-new")}],
    });
    let old = json!({"tls": [named("c", json!({"sourceLabels": {"track": "canary"}}))]});
    let mut store = shop();
    assert_eq!(apply(&mut store, Kind::VirtualService, object("a-young", young, "2026-02-01T00:00:00Z")), []);
    assert_eq!(apply(&mut store, Kind::VirtualService, object("old", old, "2026-01-01T00:00:00Z")), []);
    apply(&mut store, Kind::TrafficSplit, split("canary", "web-new", &[("web-new", 1), ("web-old", 1)], 2));
    let addresses = dialled(&[(WEB, "web")]);
    let seen = |store: &Store| {
        let built = build(store, &addresses, &frame(), &Built::nothing(&frame()))?;
        let port = service_at(&built, WEB).port(80)?;
        assert!(port.routes.is_empty(), "requests go to the Service");
        let name = |rule: &ByteRule<_>| rule.name.trim_start_matches("VirtualService shop/").to_owned();
        let rules = port.bytes.rules().map(|rule| (name(rule), rule.destinations().flat_map(|to| shown(to)).collect()));
        Some(rules.collect::<Vec<(String, Vec<String>)>>())
    };
    assert_eq!(seen(&store), None, "it is not known which labels this pod has");
    let row = |name: &str, backends: &[&str]| (name.to_owned(), backends.iter().map(ToString::to_string).collect());
    let (one, other) = ("web-old 1 10.0.1.1:8080", "web-new 1 10.0.2.1:8080");
    let stable = [row("a-young tls[1]", &[one]), row("a-young tcp[1]", &[other, one])];
    store.set_labels([("track".to_owned(), "stable".to_owned())].into());
    assert_eq!(seen(&store).unwrap(), stable);
    store.set_labels([("track".to_owned(), "canary".to_owned())].into());
    assert_eq!(seen(&store).unwrap(), [&[row("old tls[0]", &[one])], stable.as_slice()].concat());
}

#[test]
fn what_bytes_may_be_sent_to_is_watched() {
    let mut store = shop();
    let watched = |store: &Store| {
        let plan = crate::discovery::needs::plan(store, &dialled(&[(WEB, "web")]), &frame().home);
        plan[&scope(Kind::EndpointSlice)].clone()
    };
    let names = |names: &[&str]| Selection::Names(names.iter().map(|name| Arc::from(*name)).collect());
    assert_eq!(watched(&store), names(&["web"]));
    let mut manifest = virtual_service("web", "web", json!([]), 2);
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    manifest["spec"]["tls"] = json!([{"match": [{"sniHosts": ["a"]}], "route": to("web-new")}]);
    manifest["spec"]["tcp"] = json!([{"route": to("web-old")}]);
    assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
    assert_eq!(watched(&store), names(&["web", "web-new", "web-old"]));
}

#[test]
fn what_is_exported_elsewhere_says_nothing() {
    let mut store = shop();
    let http = json!([{"match": [{"uri": {"exact": "/x"}}], "route": [{"destination": {"host": "web-new"}}]}]);
    let rows = [(2, json!(["bank"]), 0), (3, json!(["."]), 1), (4, json!(["bank", "*"]), 1), (5, json!(["bank"]), 0)];
    for (version, exported, rules) in rows {
        let mut manifest = virtual_service("web", "web", http.clone(), version);
        manifest["spec"]["exportTo"] = exported.clone();
        assert_eq!(apply(&mut store, Kind::VirtualService, manifest), []);
        let built = first(&store, &dialled(&[(WEB, "web")]));
        assert_eq!(service_at(&built, WEB).port(80).unwrap().routes.rules.len(), rules, "{exported}");
    }
}

/// Adds a Service `till` of another namespace at 10.96.0.20, with that namespace's VirtualServices. Returns its address as dialled.
fn bank(store: &mut Store, routes: Vec<Value>) -> Addresses {
    let bank = [
        (Kind::MeshService, vec![service("till", "10.96.0.20", 1)]),
        (Kind::EndpointSlice, vec![slice("till", &["10.0.9.1"], 1)]),
        (Kind::VirtualService, routes),
        (Kind::TrafficSplit, vec![]),
    ];
    for (kind, manifests) in bank {
        let objects = manifests.into_iter().map(|mut manifest| {
            manifest["metadata"]["namespace"] = json!("bank");
            object(kind, manifest)
        });
        let listed = Change::Listed(Selection::All, objects.collect());
        assert_eq!(store.take(&Scope::new(&Namespace::from("bank"), kind), listed), []);
    }
    let mut addresses = Addresses::default();
    let binding = Binding::Service(ServiceRef::new("bank", "till"));
    addresses.bind(ip("10.96.0.20"), binding, true, std::time::Duration::ZERO);
    addresses
}

/// Of a Service in another namespace: this namespace's own VirtualServices stand in for those of the Service's (GEP-1294).
#[test]
fn a_consumer_replaces_the_producers_routes() {
    let only =
        |path: &str, to: &str| json!([{"match": [{"uri": {"exact": path}}], "route": [{"destination": {"host": to}}]}]);
    let mut store = shop();
    let addresses = bank(&mut store, vec![virtual_service("routes", "till", only("/bank", "till"), 1)]);
    let seen = |store: &Store| -> Vec<(String, Vec<String>)> {
        let built = first(store, &addresses);
        let rules = &service_at(&built, "10.96.0.20").port(80).unwrap().routes.rules;
        rules
            .iter()
            .map(|rule| (rule.name.to_string(), rule.destinations().flat_map(|to| shown(to)).collect()))
            .collect()
    };
    let to = |rule: &str, backend: &str| vec![(rule.to_owned(), vec![backend.to_owned()])];
    let producers = to("VirtualService bank/routes http[0]", "till 1 10.0.9.1:8080");
    assert_eq!(seen(&store), producers);
    assert_eq!(
        apply(&mut store, Kind::VirtualService, virtual_service("mine", "till.bank", only("/shop", "web-new"), 2)),
        []
    );
    assert_eq!(seen(&store), to("VirtualService shop/mine http[0]", "web-new 1 10.0.2.1:8080"));
    let back = virtual_service("mine", "till.bank", only("/shop", "till.bank"), 3);
    assert_eq!(apply(&mut store, Kind::VirtualService, back), []);
    assert_eq!(seen(&store), to("VirtualService shop/mine http[0]", "till 1 10.0.9.1:8080"));
    let gone = object(Kind::VirtualService, virtual_service("mine", "till.bank", json!([]), 4)).meta;
    store.take(&scope(Kind::VirtualService), Change::Deleted(gone));
    assert_eq!(seen(&store), producers);
}

#[test]
fn endpoints_outside_the_mesh_are_plaintext_and_all_others_are_not() {
    let mut store = shop();
    apply(&mut store, Kind::EndpointSlice, slice("web", &["10.0.0.1", "10.0.0.2"], 2));
    let mut partly = service("web", WEB, 2);
    partly["spec"]["outside"] = json!(["web-10-0-0-2"]);
    apply(&mut store, Kind::MeshService, partly);
    let built = first(&store, &dialled(&[(WEB, "web")]));
    let destination = Arc::clone(&service_at(&built, WEB).port(80).unwrap().direct);
    let (backend, _) = destination.backends.as_ref().unwrap().entries().next().unwrap();
    let transports: Vec<_> = backend.endpoints.iter().map(|endpoint| endpoint.transport).collect();
    assert_eq!(transports, [Transport::Mesh, Transport::Plain]);
    assert_eq!(backend.identities[0].as_str(), "spiffe://cluster.local/ns/shop/sa/web");
}

fn pod(name: &str, address: &str, version: u64) -> Value {
    json!({
        "metadata": super::super::testing::meta(name, version),
        "spec": {"ips": [address], "identity": "spiffe://cluster.local/ns/shop/sa/db"},
    })
}

#[test]
fn a_pod_dialled_by_its_address_must_answer_as_itself() {
    let mut store = store();
    list(&mut store, Kind::MeshEndpoint, vec![pod("db-0", "10.0.3.1", 1), pod("db-1", "10.0.3.2", 1)]);
    let mut addresses = Addresses::default();
    let binding = |label: &str| Binding::Pod { namespace: NS.into(), kind: Kind::MeshEndpoint, label: label.into() };
    addresses.bind(ip("10.0.3.1"), binding("10.0.3.1"), true, std::time::Duration::ZERO);
    addresses.bind(ip("10.0.3.9"), binding("10.0.3.9"), true, std::time::Duration::ZERO);
    addresses.bind(ip("192.0.2.7"), Binding::Outside, false, std::time::Duration::ZERO);
    let built = first(&store, &addresses);
    let Some(Target::Pod(target)) = built.snapshot.targets.get(&ip("10.0.3.1")) else { panic!("{built:?}") };
    assert_eq!((target.pod.to_string().as_str(), target.identity.service_account()), ("shop/db-0", "db"));
    assert!(matches!(built.snapshot.targets.get(&ip("192.0.2.7")), Some(Target::Outside)));
    assert!(!built.snapshot.targets.contains_key(&ip("10.0.3.9")), "nobody has this address");
    assert_eq!(crate::discovery::needs::lost(&store, &addresses), [ip("10.0.3.9")]);
}

#[test]
fn what_does_not_change_keeps_its_pointer() {
    let mut store = shop();
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-old", 90), ("web-new", 10)], 2));
    let addresses = dialled(&[(WEB, "web"), (OLD, "web-old")]);
    let before = first(&store, &addresses);
    assert!(build(&store, &addresses, &frame(), &before).is_none(), "nothing changed");
    apply(&mut store, Kind::EndpointSlice, slice("web-new", &["10.0.2.1", "10.0.2.2"], 3));
    let after = build(&store, &addresses, &frame(), &before).expect("an endpoint was added");
    assert_eq!(after.snapshot.generation, before.snapshot.generation + 1);
    assert!(Arc::ptr_eq(service_at(&before, OLD), service_at(&after, OLD)));
    assert!(!Arc::ptr_eq(service_at(&before, WEB), service_at(&after, WEB)));
    let backend = |built: &Built, index: usize| {
        let destination = &service_at(built, WEB).port(80).unwrap().direct;
        Arc::clone(destination.backends.as_ref().unwrap().entries().nth(index).unwrap().0)
    };
    assert!(Arc::ptr_eq(&backend(&before, 0), &backend(&after, 0)), "web-old");
    assert!(!Arc::ptr_eq(&backend(&before, 1), &backend(&after, 1)), "web-new");
    assert!(Arc::ptr_eq(&before.snapshot.policies, &after.snapshot.policies));
}

/// A split that names a backend nobody watched yet: until its endpoints are listed, the split in force stays.
#[test]
fn a_service_changes_when_all_it_depends_on_is_known() {
    let mut store = store();
    let names = |list: &[&str]| Selection::Names(list.iter().map(|name| Arc::from(*name)).collect());
    let listed = |store: &mut Store, kind, selection, manifests: Vec<Value>| {
        let objects = manifests.into_iter().map(|manifest| object(kind, manifest)).collect();
        store.take(&scope(kind), Change::Listed(selection, objects));
    };
    let addresses = dialled(&[(WEB, "web")]);
    let nothing = Built::nothing(&frame());
    listed(&mut store, Kind::MeshService, names(&["web"]), vec![service("web", WEB, 1)]);
    listed(&mut store, Kind::EndpointSlice, names(&["web"]), vec![slice("web", &["10.0.0.1"], 1)]);
    assert!(build(&store, &addresses, &frame(), &nothing).is_none(), "routes and splits are not listed");
    list(&mut store, Kind::VirtualService, vec![]);
    list(&mut store, Kind::TrafficSplit, vec![]);
    let before = build(&store, &addresses, &frame(), &nothing).unwrap();
    apply(&mut store, Kind::TrafficSplit, split("canary", "web", &[("web-new", 100)], 2));
    assert!(build(&store, &addresses, &frame(), &before).is_none(), "web-new is not listed");
    listed(
        &mut store,
        Kind::EndpointSlice,
        names(&["web", "web-new"]),
        vec![slice("web", &["10.0.0.1"], 1), slice("web-new", &["10.0.2.1"], 1)],
    );
    assert!(build(&store, &addresses, &frame(), &before).is_none(), "who may answer for web-new is not known");
    listed(
        &mut store,
        Kind::MeshService,
        names(&["web", "web-new"]),
        vec![service("web", WEB, 1), service("web-new", NEW, 1)],
    );
    let after = build(&store, &addresses, &frame(), &before).unwrap();
    assert_eq!(shown(&service_at(&after, WEB).port(80).unwrap().direct), ["web-new 100 10.0.2.1:8080"]);
}

#[test]
fn a_change_of_a_delegate_counts_at_once_and_without_it_there_is_no_route() {
    let mut store = shop();
    let http = json!([
        {"match": [{"uri": {"prefix": "/team"}}], "delegate": {"name": "team"}},
        {"route": [{"destination": {"host": "web"}}]},
    ]);
    assert_eq!(apply(&mut store, Kind::VirtualService, virtual_service("web", "web", http, 2)), []);
    let seen = |store: &Store| {
        let built = first(store, &dialled(&[(WEB, "web")]));
        let rules = &service_at(&built, WEB).port(80).unwrap().routes.rules;
        rules.iter().map(|rule| (rule.delegate().is_some(), rule.within.len())).collect::<Vec<_>>()
    };
    assert_eq!(seen(&store), [(true, 0), (false, 0)], "no object team");
    let team = |version, rules: usize| {
        let http = vec![json!({"route": [{"destination": {"host": "web-new"}}]}); rules];
        let mut manifest = virtual_service("team", "web", http.into(), version);
        manifest["spec"]["hosts"] = json!([]);
        manifest
    };
    assert_eq!(apply(&mut store, Kind::VirtualService, team(3, 1)), []);
    assert_eq!(seen(&store), [(false, 1), (false, 0)]);
    assert_eq!(apply(&mut store, Kind::VirtualService, team(4, 2)), []);
    assert_eq!(seen(&store), [(false, 1), (false, 1), (false, 0)]);
}
