use serde_json::{Value, json};
use tulle_core::name::ServiceRef;
use tulle_core::route::TrafficPolicy;
use tulle_core::split::Weight;

use crate::into_core::tests::{refused, virtual_service};

use super::*;

fn to_web() -> Value {
    json!([{"destination": {"host": "web"}}])
}

fn tls(rule: Value) -> Value {
    json!({"hosts": ["web"], "tls": [rule]})
}

fn tcp(rule: Value) -> Value {
    json!({"hosts": ["web"], "tcp": [rule]})
}

fn of(condition: Value) -> Value {
    tls(json!({"match": [condition], "route": to_web()}))
}

/// A rule for one name with one condition more.
fn named(field: &str, value: Value) -> Value {
    of(json!({"sniHosts": ["a.example"], field: value}))
}

/// A rule of `tcp` with one condition.
fn asked(field: &str, value: Value) -> Value {
    tcp(json!({"match": [{field: value}], "route": to_web()}))
}

fn parse(spec: &Value) -> ByteTable<Destination> {
    virtual_service(spec).unwrap_or_else(|error| panic!("{spec}: {error}")).bytes
}

#[test]
fn rules_for_bytes_are_read() {
    let table = parse(&json!({
        "hosts": ["web"],
        "tls": [{
            "match": [
                {"sniHosts": ["*.shop.example", "Shop.example"], "port": 443, "sourceLabels": {"app": "till"}},
                {"sniHosts": ["*"], "destinationSubnets": ["10.96.0.0/12", "fd00::1"], "sourceNamespace": "bank"},
            ],
            "route": [
                {"destination": {"host": "web-v2", "port": {"number": 8443}}, "weight": 90},
                {"destination": {"host": "web-v3"}, "weight": 10},
                {"destination": {"host": "web-v4"}},
            ],
        }],
        "tcp": [{"route": to_web()}],
    }));
    let [rule] = table.tls.as_slice() else { panic!("{:?}", table.tls) };
    assert_eq!(&*rule.name, "VirtualService shop/web tls[0]");
    let [first, second] = rule.matches.as_slice() else { panic!("{:?}", rule.matches) };
    assert_eq!(first.sni_hosts, [SniHost::Below(".shop.example".into()), SniHost::Exact("shop.example".into())]);
    assert_eq!((first.port, first.source.as_ref().unwrap().labels["app"].as_str()), (Some(443), "till"));
    assert_eq!(second.sni_hosts, [SniHost::Any]);
    assert_eq!(second.destination_subnets, ["10.96.0.0/12", "fd00::1/128"].map(|net| net.parse().unwrap()));
    assert_eq!(second.source.as_ref().unwrap().namespace.as_deref(), Some("bank"));
    let to: Vec<_> =
        rule.to.as_ref().unwrap().entries().map(|(to, weight)| (&*to.service.name, to.port, weight.0)).collect();
    assert_eq!(to, [("web-v2", Some(8443), 90), ("web-v3", None, 10), ("web-v4", None, 0)]);
    let [rule] = table.tcp.as_slice() else { panic!("{:?}", table.tcp) };
    assert_eq!((&*rule.name, rule.matches.len()), ("VirtualService shop/web tcp[0]", 0));
    let web = Destination {
        service: ServiceRef::new("shop", "web"),
        port: None,
        subset: None,
        policy: TrafficPolicy::default(),
    };
    assert_eq!(rule.to.as_ref().unwrap().entries().collect::<Vec<_>>(), [(&web, Weight(1))]);
}

#[test]
fn what_is_for_gateways_is_left_out() {
    let table = parse(&json!({
        "hosts": ["web"],
        "tls": [
            {"match": [{"sniHosts": ["a.example"], "gateways": ["edge"]}], "route": to_web()},
            {
                "match": [{"sniHosts": ["b.example"], "gateways": ["edge"]}, {"sniHosts": ["c.example"], "gateways": ["edge", "mesh"]}],
                "route": to_web(),
            },
        ],
        "tcp": [{"match": [{"gateways": ["edge"]}], "route": to_web()}, {"match": [{}], "route": to_web()}],
    }));
    assert_eq!(table.tls.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), ["VirtualService shop/web tls[1]"]);
    assert_eq!(
        table.tls[0].matches,
        [ByteMatch { sni_hosts: vec![SniHost::Exact("c.example".into())], ..ByteMatch::default() }]
    );
    assert_eq!(table.tcp.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), ["VirtualService shop/web tcp[1]"]);
}

#[test]
fn names_with_a_mistake() {
    refused(
        virtual_service,
        &[
            (
                tls(json!({"match": [], "route": to_web()})),
                "TUL3003: spec.tls[0].match: says of no server's name that it is meant; give a match with sniHosts",
            ),
            (of(json!({"sniHosts": []})), "TUL3003: spec.tls[0].match[0].sniHosts: names no server; add the field"),
            (
                of(json!({"sniHosts": ["a.example", "10.0.0.1"]})),
                "TUL3012: spec.tls[0].match[0].sniHosts[1]: \"10.0.0.1\" never fits: a ClientHello names no addresses; \
                 correct the pattern",
            ),
            (
                of(json!({"sniHosts": ["a.example."]})),
                "TUL3012: spec.tls[0].match[0].sniHosts[0]: \"a.example.\" never fits: a ClientHello names servers without \
                 the trailing dot; correct the pattern",
            ),
            (
                of(json!({"sniHosts": ["a.*.example"]})),
                "TUL3012: spec.tls[0].match[0].sniHosts[0]: \"a.*.example\" has a wildcard that is not its first label; \
                 correct the pattern",
            ),
            (
                of(json!({"sniHosts": ["a_b.example"]})),
                "TUL3012: spec.tls[0].match[0].sniHosts[0]: \"a_b.example\" never fits: it is not a DNS name of letters, digits \
                 and '-' in labels of 1 to 63; correct the pattern",
            ),
        ],
    );
}

#[test]
fn conditions_on_connections_with_a_mistake() {
    refused(
        virtual_service,
        &[
            (
                named("destinationSubnets", json!(["10.0.0.0/8", "10.0.0.0/33"])),
                "TUL3001: spec.tls[0].match[0].destinationSubnets[1]: \"10.0.0.0/33\" is neither a network nor an address; \
                 write 10.0.0.0/8, fd00::/8 or 10.0.0.1",
            ),
            (
                asked("destinationSubnets", json!(["web"])),
                "TUL3001: spec.tcp[0].match[0].destinationSubnets[0]: \"web\" is neither a network nor an address; \
                 write 10.0.0.0/8, fd00::/8 or 10.0.0.1",
            ),
            (named("port", json!(0)), "TUL3001: spec.tls[0].match[0].port: 0 is not a port; use 1 to 65535"),
            (asked("port", json!(65536)), "TUL3001: spec.tcp[0].match[0].port: 65536 is not a port; use 1 to 65535"),
            (
                asked("sourceNamespace", json!("Bank")),
                "TUL3012: spec.tcp[0].match[0].sourceNamespace: \"Bank\" never fits: it is no name of a namespace; \
                 correct the pattern",
            ),
            (
                asked("sourceLabels", json!({"app": "a b"})),
                "TUL3012: spec.tcp[0].match[0].sourceLabels[app]: \"a b\" never fits: no label has such a value; \
                 correct the pattern",
            ),
            (
                asked("sourceSubnet", json!("10.0.0.0/8")),
                "TUL3002: spec.tcp[0].match[0].sourceSubnet: is not supported by this release; remove the field",
            ),
            (
                asked("sniHosts", json!(["a"])),
                "TUL3002: spec.tcp[0].match[0].sniHosts: is not supported by this release; remove the field",
            ),
            (
                named("uri", json!({"exact": "/"})),
                "TUL3002: spec.tls[0].match[0].uri: is not supported by this release; remove the field",
            ),
        ],
    );
}

#[test]
fn rules_for_bytes_with_a_mistake() {
    refused(
        virtual_service,
        &[
            (
                tcp(json!({"route": to_web(), "timeout": "1s"})),
                "TUL3002: spec.tcp[0].timeout: is not supported by this release; remove the field",
            ),
            (
                tls(json!({"match": [{"sniHosts": ["a"]}], "route": to_web(), "mirror": {}})),
                "TUL3002: spec.tls[0].mirror: is not supported by this release; remove the field",
            ),
            (tcp(json!({"route": []})), "TUL3003: spec.tcp[0].route: lists no destination; add the field"),
            (
                tcp(json!({"route": [
                    {"destination": {"host": "web"}}, {"destination": {"host": "web-v2"}, "weight": 0},
                ]})),
                "TUL3009: spec.tcp[0].route: all weights are 0 or absent; give at least one entry a weight above 0",
            ),
            (
                tcp(json!({"route": [{"destination": {"host": "web"}, "weight": -1}]})),
                "TUL3011: spec.tcp[0].route[0].weight: -1 is below 0; use a whole number from 0 to 1000000",
            ),
            (
                tcp(json!({"route": [{"destination": {"host": "web"}, "headers": {}}]})),
                "TUL3002: spec.tcp[0].route[0].headers: is not supported by this release; remove the field",
            ),
            (
                tcp(json!({"route": [{"destination": {"host": "web.bank"}}]})),
                "TUL3006: spec.tcp[0].route[0].destination.host: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                json!({"tls": [{"match": [{"sniHosts": ["a"]}], "route": to_web()}]}),
                "TUL3001: spec.tls: is for the hosts of its own object, and there are none: delegation is of http alone; \
                 give hosts, or remove it",
            ),
            (
                json!({"http": [{"route": to_web()}], "tcp": [{"route": to_web()}]}),
                "TUL3001: spec.tcp: is for the hosts of its own object, and there are none: delegation is of http alone; \
                 give hosts, or remove it",
            ),
            (json!({"hosts": ["web"]}), "TUL3003: spec: lists no rule; give one in http, tls or tcp"),
        ],
    );
}
