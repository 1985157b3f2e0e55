//! VirtualServices for every Service of a namespace.

use super::*;

/// A VirtualService whose one rule leads to `web-new`, so that it is told by its name which object took the host.
fn routes(name: &str, host: &str, version: u64) -> Value {
    virtual_service(name, host, json!([{"route": [{"destination": {"host": "web-new"}}]}]), version)
}

/// The objects whose rules a Service has, in order.
fn speaking(store: &Store, addresses: &Addresses, address: &str) -> Vec<String> {
    let built = first(store, addresses);
    let rules = &service_at(&built, address).port(80).unwrap().routes.rules;
    rules.iter().map(|rule| rule.name.strip_prefix("VirtualService ").unwrap().replace(" http[0]", "")).collect()
}

#[test]
fn the_most_exact_host_is_asked_alone() {
    type Names = &'static [&'static str];
    type Row = (&'static str, &'static [(&'static str, &'static str)], Names, Names);
    const ANY: &str = "*";
    const ALL: &str = "*.shop.svc.cluster.local";
    let rows: [Row; 6] = [
        ("a wildcard", &[("a", ANY)], &["shop/a"], &["shop/a"]),
        ("a name beside it", &[("a", ANY), ("b", "web")], &["shop/b"], &["shop/a"]),
        ("the longer wildcard", &[("a", ANY), ("b", ALL)], &["shop/b"], &["shop/b"]),
        ("all three", &[("a", ANY), ("b", ALL), ("c", "web")], &["shop/c"], &["shop/b"]),
        ("two of one length", &[("b", ALL), ("a", "*.shop")], &["shop/a", "shop/b"], &["shop/a", "shop/b"]),
        ("of another namespace", &[("a", "*.bank")], &[], &[]),
    ];
    for (name, objects, web, old) in rows {
        let mut store = shop();
        for (at, (name, host)) in objects.iter().enumerate() {
            assert_eq!(apply(&mut store, Kind::VirtualService, routes(name, host, at as u64 + 2)), []);
        }
        let addresses = dialled(&[(WEB, "web"), (OLD, "web-old")]);
        assert_eq!(speaking(&store, &addresses, WEB), web, "{name}");
        assert_eq!(speaking(&store, &addresses, OLD), old, "{name}");
    }
}

#[test]
fn an_object_is_what_its_most_exact_host_makes_it() {
    let mut store = shop();
    let mut both = routes("a", "*", 2);
    both["spec"]["hosts"] = json!(["*", "web"]);
    apply(&mut store, Kind::VirtualService, both);
    apply(&mut store, Kind::VirtualService, routes("b", "*.shop", 3));
    let addresses = dialled(&[(WEB, "web"), (OLD, "web-old")]);
    assert_eq!(speaking(&store, &addresses, WEB), ["shop/a"]);
    assert_eq!(speaking(&store, &addresses, OLD), ["shop/b"]);
}

#[test]
fn a_service_made_later_is_covered() {
    const LATER: &str = "10.96.0.13";
    let mut store = shop();
    apply(&mut store, Kind::VirtualService, routes("a", "*", 2));
    apply(&mut store, Kind::MeshService, service("later", LATER, 3));
    assert_eq!(speaking(&store, &dialled(&[(LATER, "later")]), LATER), ["shop/a"]);
}

#[test]
fn an_object_that_is_not_exported_here_leaves_the_host_to_the_wildcard() {
    let mut store = shop();
    apply(&mut store, Kind::VirtualService, routes("a", "*", 2));
    let mut elsewhere = routes("b", "web", 3);
    elsewhere["spec"]["exportTo"] = json!(["bank"]);
    apply(&mut store, Kind::VirtualService, elsewhere);
    assert_eq!(speaking(&store, &dialled(&[(WEB, "web")]), WEB), ["shop/a"]);
}

/// For callers in `shop` of a Service in `bank`.
#[test]
fn wildcards_of_consumers_and_producers() {
    type Names = &'static [&'static str];
    let rows: [(&str, Names, Names, Names); 6] = [
        ("the producer's", &["*"], &[], &["bank/0"]),
        ("the consumer's before the producer's", &["*.bank"], &["*.bank"], &["shop/0"]),
        ("the longer one", &["*"], &["*.bank"], &["shop/0"]),
        ("the producer's name before the consumer's wildcard", &["till"], &["*.bank"], &["bank/0"]),
        ("the consumer's name before all", &["till", "*"], &["till.bank", "*.bank"], &["shop/0"]),
        ("everything of one's own is nothing of another's", &[], &["*"], &[]),
    ];
    for (name, producers, consumers, want) in rows {
        let mut store = shop();
        let here = |(at, host): (usize, &&str)| routes(&at.to_string(), host, at as u64 + 2);
        let in_bank = producers.iter().enumerate().map(here).map(|mut manifest| {
            manifest["spec"]["http"] = json!([{"route": [{"destination": {"host": "till"}}]}]);
            manifest
        });
        let addresses = bank(&mut store, in_bank.collect());
        for manifest in consumers.iter().enumerate().map(here) {
            assert_eq!(apply(&mut store, Kind::VirtualService, manifest), [], "{name}");
        }
        assert_eq!(speaking(&store, &addresses, "10.96.0.20"), want, "{name}");
    }
}
