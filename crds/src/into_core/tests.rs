use std::time::Duration;

use serde_json::{Value, json};
use tulle_core::authz::{Action, MtlsMode, Pattern};
use tulle_core::retry::{Outcome, RetryOn};
use tulle_core::route::{self, Destination, HeaderMatch, Rule, StringMatch};
use tulle_core::split::Weight;

use super::*;
use crate::status;

fn ctx() -> Ctx {
    Ctx::new("cluster.local")
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, spec: &Value) -> K {
    let metadata = json!({"name": "web", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"});
    serde_json::from_value(
        json!({"apiVersion": "tulle.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}),
    )
    .unwrap()
}

pub(super) fn virtual_service(spec: &Value) -> Result<VirtualService, SpecError> {
    read(spec).and_then(VirtualService::whole)
}

/// What proxies read: rules with a mistake are among the others.
pub(super) fn read(spec: &Value) -> Result<VirtualService, SpecError> {
    parse_virtual_service(&object("VirtualService", spec), &ctx())
}

fn traffic_split(spec: &Value) -> Result<TrafficSplit, SpecError> {
    parse_traffic_split(&object("TrafficSplit", spec), &ctx())
}

fn mesh_policy(spec: &Value) -> Result<tulle_core::authz::Policy, SpecError> {
    parse_mesh_policy(&object("MeshPolicy", spec), &ctx())
}

/// Each row: a spec, and the whole sentence its author reads.
pub(super) fn refused<T: std::fmt::Debug>(parse: impl Fn(&Value) -> Result<T, SpecError>, rows: &[(Value, &str)]) {
    for (spec, sentence) in rows {
        match parse(spec) {
            Ok(parsed) => panic!("{spec} was read as {parsed:?}"),
            Err(error) => assert_eq!(error.to_string(), *sentence, "{spec}"),
        }
    }
}

fn split(service: &str, backends: &[(&str, i64)]) -> Value {
    let backends: Vec<_> =
        backends.iter().map(|(service, weight)| json!({"service": service, "weight": weight})).collect();
    json!({"service": service, "backends": backends})
}

#[test]
fn a_traffic_split_is_read() {
    let parsed =
        traffic_split(&split("web.shop.svc.cluster.local", &[("web", 90), ("web-v2.shop", 10), ("web-v3", 0)]))
            .unwrap();
    assert_eq!(parsed.apex.to_string(), "shop/web");
    let backends: Vec<_> = parsed.backends.iter().map(|(service, weight)| (service.to_string(), *weight)).collect();
    let backend = |name: &str, weight| (name.to_string(), Weight(weight));
    assert_eq!(backends, [backend("shop/web", 90), backend("shop/web-v2", 10), backend("shop/web-v3", 0)]);
    assert_eq!((parsed.rank.created, parsed.rank.name.as_str()), (1_767_225_600, "web"));
}

#[test]
fn a_split_of_some_requests() {
    let mut spec = split("web", &[("web-v2", 1)]);
    spec["matches"] = json!([
        {"name": "testers", "pathRegex": "/cart", "methods": ["GET", "HEAD"], "headers": {"x-user": "test-.*"}},
        {"methods": ["GET", "*"], "headers": {"x-canary": "always"}},
    ]);
    let matches = traffic_split(&spec).unwrap().matches;
    let methods: Vec<_> = matches.iter().map(|condition| condition.method.clone()).collect();
    let exact = |method: &str| Some(StringMatch::Exact(method.into()));
    assert_eq!(methods, [exact("GET"), exact("HEAD"), None]);
    let path = matches[0].uri.as_ref().unwrap();
    let fits = ["/cart", "/cart/2", "/cart\n", "/", "/x/cart"].map(|path_of| path.fits(path_of.as_bytes()));
    assert_eq!(fits, [true, true, true, false, false], "the start of the path");
    let HeaderMatch::Value(user) = &matches[0].headers[0].1 else { panic!("a value") };
    let fits = ["test-1", "a test-1", "test"].map(|value| user.fits(value.as_bytes()));
    assert_eq!(fits, [true, false, false], "the whole value");
}

#[test]
fn traffic_splits_with_a_mistake() {
    let only = |condition: Value| {
        let mut spec = split("web", &[("a", 1)]);
        spec["matches"] = json!([{"methods": ["GET"]}, condition]);
        spec
    };
    let mut nothing_said = split("web", &[("a", 1)]);
    nothing_said["rollout"] = Value::Null;
    assert!(traffic_split(&nothing_said).is_ok());
    refused(
        traffic_split,
        &[
            (split("web", &[]), "TUL3003: spec.backends: lists no backend; add the field"),
            (
                split("web", &[("a", 0), ("b", 0)]),
                "TUL3009: spec.backends: all weights are 0; give at least one entry a weight above 0",
            ),
            (
                split("web", &[("a", 1), ("b", -1)]),
                "TUL3011: spec.backends[1].weight: -1 is below 0; use a whole number from 0 to 1000000",
            ),
            (
                split("web", &[("a", 1_000_001)]),
                "TUL3011: spec.backends[0].weight: 1000001 is above 1000000; use a whole number from 0 to 1000000",
            ),
            (
                split("web", &[("a", 1), ("b", 1), ("a.shop.svc", 1)]),
                "TUL3004: spec.backends[2].service: shop/a is listed twice; keep one of the two",
            ),
            (
                split("web.bank", &[("a", 1)]),
                "TUL3006: spec.service: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                split("web", &[("a.bank", 1)]),
                "TUL3006: spec.backends[0].service: bank/a is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                split("", &[("a", 1)]),
                "TUL3013: spec.service: is empty; use name, name.namespace or the full DNS name of a Service",
            ),
            (
                only(json!({"kind": "HTTPRouteGroup"})),
                "TUL3002: spec.matches[1].kind: is not supported by this release; remove the field",
            ),
            (
                only(json!({"name": "empty"})),
                "TUL3003: spec.matches[1]: has none of pathRegex, methods and headers; give at least one, or remove the condition",
            ),
            (
                only(json!({"pathRegex": "a)|(b"})),
                "TUL3012: spec.matches[1].pathRegex: is not a regular expression: unopened group; correct the pattern",
            ),
            (
                only(json!({"headers": {"x": "("}})),
                "TUL3012: spec.matches[1].headers[x]: is not a regular expression: unclosed group; correct the pattern",
            ),
            (
                only(json!({"headers": {"X": "1"}})),
                "TUL3001: spec.matches[1].headers[X]: has upper-case letters; write it in lower case",
            ),
        ],
    );
}

pub(super) fn http(route: Value) -> Value {
    json!({"hosts": ["web"], "http": [route]})
}

fn matching(condition: Value) -> Value {
    http(json!({"match": [condition], "route": [{"destination": {"host": "web"}}]}))
}

#[test]
fn a_virtual_service_is_read() {
    let parsed = virtual_service(&json!({
        "hosts": ["web", "api.shop"],
        "http": [
            {
                "match": [{
                    "uri": {"prefix": "/v2/"}, "ignoreUriCase": true, "method": {"exact": "GET"}, "authority": {"regex": "web.*"},
                    "headers": {"x-user": {"exact": "1"}, "x-any": {}}, "withoutHeaders": {"x-old": {}},
                    "queryParams": {"q": {"prefix": "a"}}, "port": 80,
                }, {"scheme": {"exact": "http"}}],
                "route": [
                    {"destination": {"host": "web-v2", "port": {"number": 8080}}, "weight": 3},
                    {"destination": {"host": "web"}, "weight": 1},
                    {"destination": {"host": "web-v1"}},
                ],
                "timeout": "1m500ms",
                "retries": {"attempts": 2, "perTryTimeout": "2s", "retryOn": "5xx, 429"},
            },
            {"route": [{"destination": {"host": "web"}}], "timeout": "0s", "retries": {"attempts": 0}},
        ],
    }))
    .unwrap();
    assert_eq!(parsed.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["shop/web", "shop/api"]);
    let [first, second] = parsed.rules.as_slice() else { panic!("two rules") };

    assert_eq!(&*first.name, "VirtualService shop/web http[0]");
    let condition = &first.matches[0];
    assert_eq!(condition.uri, Some(StringMatch::Prefix("/v2/".into())));
    assert!(condition.ignore_uri_case);
    assert_eq!(condition.port, Some(80));
    assert_eq!(
        condition.headers,
        [("x-any".into(), HeaderMatch::Present), ("x-user".into(), HeaderMatch::Value(StringMatch::Exact("1".into()))),]
    );
    assert_eq!(condition.without_headers, [("x-old".into(), HeaderMatch::Present)]);
    assert_eq!(condition.query, [("q".into(), HeaderMatch::Value(StringMatch::Prefix("a".into())))]);
    assert_eq!(first.matches[1].scheme, Some(StringMatch::Exact("http".into())));
    let listed: Vec<_> = shares(first).map(|(to, weight)| (to.service.to_string(), to.port, weight)).collect();
    let share = |name: &str, port, weight| (name.to_string(), port, weight);
    assert_eq!(
        listed,
        [share("shop/web-v2", Some(8080), 3), share("shop/web", None, 1), share("shop/web-v1", None, 0)]
    );
    assert_eq!(first.filters.timeout, Some(Duration::from_millis(60_500)));
    let retry = first.filters.retry.as_ref().unwrap();
    assert_eq!((retry.attempts, retry.per_try_timeout), (2, Some(Duration::from_secs(2))));
    assert!(retry.on.covers(Outcome::Status(429)));

    assert_eq!((second.matches.len(), second.filters.timeout, second.filters.retry.is_some()), (0, None, false));
    assert_eq!(shares(second).map(|(_, weight)| weight).collect::<Vec<_>>(), [1], "alone it receives everything");
}

fn shares(rule: &Rule<Destination>) -> impl Iterator<Item = (&Destination, u32)> {
    let route::Action::Forward(branches) = &rule.action else { panic!("it forwards") };
    branches.entries().map(|(branch, weight)| (&branch.destination, weight.0))
}

#[test]
fn retries_have_the_default_conditions_of_the_peers() {
    let spec = http(json!({"route": [{"destination": {"host": "web"}}], "retries": {"attempts": 1}}));
    assert_eq!(virtual_service(&spec).unwrap().rules[0].filters.retry.as_ref().unwrap().on, RetryOn::default());
}

#[test]
fn virtual_services_with_a_mistake_in_hosts_or_routes() {
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    let hosts = |hosts: Value| json!({"hosts": hosts, "http": [{"route": to("web")}]});
    let weights = |a: i64, b: i64| {
        http(
            json!({"route": [{"destination": {"host": "a"}, "weight": a}, {"destination": {"host": "b"}, "weight": b}]}),
        )
    };
    refused(
        virtual_service,
        &[
            (
                hosts(json!(["web", "web-*"])),
                "TUL3013: spec.hosts[1]: \"web-*\" has a wildcard that is not its whole first label; \
                 name each Service, or all of a namespace by * or *.namespace",
            ),
            (
                hosts(json!(["*.example.com"])),
                "TUL3013: spec.hosts[0]: \"*.example.com\" is not a Service of this cluster (expected name, name.namespace or \
                 name.namespace.svc.cluster.local); use name, name.namespace or the full DNS name of a Service",
            ),
            (
                hosts(json!(["*.shop", "*.shop.svc"])),
                "TUL3004: spec.hosts[1]: shop/* is listed twice; keep one of the two",
            ),
            (
                http(json!({"route": to("*.shop")})),
                "TUL3013: spec.http[0].route[0].destination.host: \"*.shop\" has a wildcard, where one Service has to be named; \
                 use name, name.namespace or the full DNS name of a Service",
            ),
            (
                hosts(json!(["www.example.com"])),
                "TUL3013: spec.hosts[0]: \"www.example.com\" is not a Service of this cluster (expected name, name.namespace or \
                 name.namespace.svc.cluster.local); use name, name.namespace or the full DNS name of a Service",
            ),
            (
                hosts(json!(["web", "web.shop"])),
                "TUL3004: spec.hosts[1]: shop/web is listed twice; keep one of the two",
            ),
            (json!({"hosts": ["web"], "http": []}), "TUL3003: spec: lists no rule; give one in http, tls or tcp"),
            (
                http(json!({"route": []})),
                "TUL3003: spec.http[0]: has none of route, redirect, directResponse and delegate; give exactly one",
            ),
            (
                http(json!({"route": to("web.bank")})),
                "TUL3006: spec.http[0].route[0].destination.host: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                weights(0, 0),
                "TUL3009: spec.http[0].route: all weights are 0 or absent; give at least one entry a weight above 0",
            ),
            (
                weights(1, -2),
                "TUL3011: spec.http[0].route[1].weight: -2 is below 0; use a whole number from 0 to 1000000",
            ),
            (
                http(json!({"route": [{"destination": {"host": "web", "port": {"number": 65536}}}]})),
                "TUL3001: spec.http[0].route[0].destination.port.number: 65536 is not a port; use 1 to 65535",
            ),
        ],
    );
}

/// A consumer's routes: GEP-1294, "Namespace boundaries".
#[test]
fn rules_for_services_of_other_namespaces() {
    let spec = |hosts: Value, to: &str| json!({"hosts": hosts, "http": [{"route": [{"destination": {"host": to}}]}]});
    let leads_to = |hosts: Value, to: &str| {
        let read = virtual_service(&spec(hosts, to)).unwrap();
        shares(&read.rules[0]).map(|(to, _)| to.service.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(leads_to(json!(["web.bank"]), "web"), ["shop/web"], "a short name is of the object's own namespace");
    assert_eq!(leads_to(json!(["web.bank", "web.till"]), "other.till"), ["till/other"]);
    assert_eq!(leads_to(json!(["*.bank"]), "web.bank.svc"), ["bank/web"]);
    let mut kept_from_itself = spec(json!(["web.bank"]), "web");
    kept_from_itself["exportTo"] = json!(["bank"]);
    refused(
        virtual_service,
        &[
            (
                spec(json!(["web", "web.bank"]), "web.bank"),
                "TUL3006: spec.http[0].route[0].destination.host: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                spec(json!(["*", "*.bank"]), "web.bank"),
                "TUL3006: spec.http[0].route[0].destination.host: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                spec(json!(["web.bank"]), "web.till"),
                "TUL3006: spec.http[0].route[0].destination.host: till/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                kept_from_itself,
                "TUL3001: spec.exportTo: leaves out shop, and rules for services of other namespaces are for callers in it alone; \
                 add ., or remove the field",
            ),
        ],
    );
}

#[test]
fn virtual_services_with_a_mistake_in_limits() {
    let with = |field: &str, value: Value| {
        let mut spec = http(json!({"route": [{"destination": {"host": "web"}}]}));
        spec["http"][0][field] = value;
        spec
    };
    for text in ["", "10", "s", "1.s", ".5s", "1.5.5s", "1.0000000000s", "10 s", "-1s", "10S", "1d", "100000s", "1s2"] {
        let sentence = format!(
            "TUL3001: spec.http[0].timeout: {text:?} is not a duration; write numbers with units, such as 500ms, 10s or 1m30s"
        );
        refused(virtual_service, &[(with("timeout", json!(text)), &sentence)]);
    }
    refused(
        virtual_service,
        &[
            (
                with("retries", json!({"attempts": 11})),
                "TUL3001: spec.http[0].retries.attempts: 11 is not between 0 and 10; correct the value",
            ),
            (
                with("retries", json!({"attempts": 1, "perTryTimeout": "x"})),
                "TUL3001: spec.http[0].retries.perTryTimeout: \"x\" is not a duration; \
                 write numbers with units, such as 500ms, 10s or 1m30s",
            ),
            (
                with("retries", json!({"attempts": 1, "retryOn": "5xx,often"})),
                "TUL3001: spec.http[0].retries.retryOn: \"often\" is no retry condition; correct the value",
            ),
        ],
    );
}

#[test]
fn virtual_services_with_a_mistake_in_conditions() {
    refused(
        virtual_service,
        &[
            (
                matching(json!({"uri": {}})),
                "TUL3003: spec.http[0].match[0].uri: has none of exact, prefix and regex; give exactly one",
            ),
            (
                matching(json!({"method": {"exact": "GET", "regex": "G.*"}})),
                "TUL3001: spec.http[0].match[0].method: has more than one of exact, prefix and regex; give exactly one",
            ),
            (
                matching(json!({"uri": {"regex": "("}})),
                "TUL3012: spec.http[0].match[0].uri.regex: is not a regular expression: unclosed group; \
                 correct the pattern",
            ),
            (
                matching(json!({"headers": {"x": {"regex": "(?:a{1000}){1000}"}}})),
                "TUL3012: spec.http[0].match[0].headers[x].regex: needs more than 262144 bytes when compiled; correct the pattern",
            ),
            (
                matching(json!({"uri": {"exact": "/a//b"}})),
                "TUL3012: spec.http[0].match[0].uri.exact: \"/a//b\" never fits: paths are compared in normal form, which is \
                 \"/a/b\"; correct the pattern",
            ),
            (
                matching(json!({"uri": {"prefix": "/a%2fb"}})),
                "TUL3012: spec.http[0].match[0].uri.prefix: \"/a%2fb\" never fits: the path has an encoded slash or backslash; \
                 correct the pattern",
            ),
            (
                matching(json!({"headers": {"X-User": {}}})),
                "TUL3001: spec.http[0].match[0].headers[X-User]: has upper-case letters; write it in lower case",
            ),
            (
                matching(json!({"withoutHeaders": {"a b": {}}})),
                "TUL3001: spec.http[0].match[0].withoutHeaders[a b]: is no header name; correct the name",
            ),
            (
                matching(json!({"headers": {"uri": {}}})),
                "TUL3001: spec.http[0].match[0].headers[uri]: is a part of the request and no header; use the field of that name",
            ),
            (
                matching(json!({"sourceNamespace": "Shop"})),
                "TUL3012: spec.http[0].match[0].sourceNamespace: \"Shop\" never fits: it is no name of a namespace; \
                 correct the pattern",
            ),
            (
                matching(json!({"sourceLabels": {"app": "a b"}})),
                "TUL3012: spec.http[0].match[0].sourceLabels[app]: \"a b\" never fits: no label has such a value; \
                 correct the pattern",
            ),
            (matching(json!({"port": 0})), "TUL3001: spec.http[0].match[0].port: 0 is not a port; use 1 to 65535"),
        ],
    );
    for path in ["/", "/a", "/a/", "/.", "/.well-known/"] {
        assert!(virtual_service(&matching(json!({"uri": {"prefix": path}}))).is_ok(), "{path}");
    }
}

#[test]
fn rules_for_some_callers() {
    let spec =
        matching(json!({"sourceLabels": {"app": "web", "empty": ""}, "sourceNamespace": "shop", "statPrefix": "x"}));
    let source = virtual_service(&spec).unwrap().rules[0].matches[0].source.clone().unwrap();
    let labels = [("app", "web"), ("empty", "")].map(|(key, value)| (key.to_string(), value.to_string()));
    assert_eq!((source.namespace.as_deref(), &source.labels), (Some("shop"), &labels.into()));
    assert_eq!(virtual_service(&matching(json!({}))).unwrap().rules[0].matches[0].source, None);
}

#[test]
fn rules_for_gateways_are_not_for_sidecars() {
    let (mesh, other) =
        (json!({"gateways": ["mesh", "ingress"], "port": 80}), json!({"gateways": ["ingress"], "port": 81}));
    let route = json!([{"destination": {"host": "web"}}]);
    let rules = [json!([mesh, other]), json!([other]), json!([])].map(|list| json!({"match": list, "route": route}));
    let spec = json!({"hosts": ["web"], "gateways": ["ingress", "mesh"], "http": rules});
    let read = virtual_service(&spec).unwrap();
    let seen: Vec<_> = read.rules.iter().map(|rule| (&*rule.name, rule.matches.len())).collect();
    assert_eq!(seen, [("VirtualService shop/web http[0]", 1), ("VirtualService shop/web http[2]", 0)]);
}

#[test]
fn whose_proxies_follow_the_rules() {
    let exported = |to: serde_json::Value| {
        let mut spec = http(json!({"route": [{"destination": {"host": "web"}}]}));
        spec["exportTo"] = to;
        virtual_service(&spec)
            .map(|read| ["shop", "bank", "till"].map(|namespace| read.export.reaches(&namespace.into())))
    };
    assert_eq!(exported(json!([])).unwrap(), [true, true, true]);
    assert_eq!(exported(json!(["*"])).unwrap(), [true, true, true]);
    assert_eq!(exported(json!(["."])).unwrap(), [true, false, false]);
    assert_eq!(exported(json!([".", "bank"])).unwrap(), [true, true, false]);
    assert_eq!(exported(json!(["bank", "*"])).unwrap(), [true, true, true]);
    assert_eq!(
        exported(json!(["ok", "~"])).unwrap_err().to_string(),
        "TUL3001: spec.exportTo[1]: \"~\" is no name of a namespace; give a namespace, . for the object's own, or * for all"
    );
}

#[test]
fn what_this_release_cannot_do_is_never_ignored() {
    let route = |field: &str| {
        let mut spec = http(json!({"route": [{"destination": {"host": "web"}}]}));
        spec["http"][0][field] = json!({});
        spec
    };
    for field in ["mirorr", "fautl"] {
        let sentence = format!("TUL3002: spec.http[0].{field}: is not supported by this release; remove the field");
        refused(virtual_service, &[(route(field), &sentence)]);
    }
    let mut gateway = http(json!({"route": [{"destination": {"host": "web", "subnet": "v1"}}]}));
    let sentence =
        "TUL3002: spec.http[0].route[0].destination.subnet: is not supported by this release; remove the field";
    refused(virtual_service, &[(gateway.clone(), sentence)]);
    gateway["http"][0]["route"][0]["destination"] = json!({"host": "web"});
    gateway["gateways"] = json!(["ingress"]);
    refused(
        virtual_service,
        &[(
            gateway,
            "TUL3002: spec.gateways: names gateways only, which this release does not serve; add mesh, or remove the object",
        )],
    );
    refused(
        mesh_policy,
        &[
            (
                json!({"authorization": {"rules": [{"when": [{"key": "x"}]}]}}),
                "TUL3002: spec.authorization.rules[0].when: is not supported by this release; remove the field",
            ),
            (
                json!({"authorization": {"rules": [{"from": [{"source": {"namespaces": ["a"], "ipBlocks": ["10.0.0.0/8"]}}]}]}}),
                "TUL3002: spec.authorization.rules[0].from[0].source.ipBlocks: is not supported by this release; remove the field",
            ),
            (json!({"mode": "Shadow"}), "TUL3002: spec.mode: is not supported by this release; remove the field"),
        ],
    );
}

#[test]
fn a_mesh_policy_is_read() {
    let policy = mesh_policy(&json!({
        "selector": {"matchLabels": {"app": "web"}},
        "mtls": {"mode": "STRICT", "portLevelMtls": {"9090": {"mode": "DISABLE"}}},
        "authorization": {
            "action": "DENY",
            "rules": [
                {
                    "from": [{"source": {
                        "principals": ["spiffe://cluster.local/ns/shop/sa/web", "*/sa/api", "spiffe://*"],
                        "notNamespaces": ["bank*"],
                        "serviceAccounts": ["api", "bank/teller"],
                    }}],
                    "to": [{"operation": {"methods": ["GET"], "paths": ["/admin*", "*.js", "/x"], "notPorts": ["9090"]}}],
                },
                {},
            ],
        },
    }))
    .unwrap();
    assert_eq!((policy.name.to_string().as_str(), policy.created), ("shop/web", 1_767_225_600));
    assert_eq!(policy.selector, Some([("app".to_string(), "web".to_string())].into()));
    let mtls = policy.mtls.unwrap();
    assert_eq!((mtls.mode, mtls.ports), (Some(MtlsMode::Strict), [(9090, MtlsMode::Disable)].into()));
    let section = policy.authorization.unwrap();
    assert_eq!((section.action, section.rules.len()), (Action::Deny, 2));
    let source = &section.rules[0].from[0];
    let exact = |text: &str| Pattern::Exact(text.into());
    assert_eq!(
        source.principals,
        [exact("cluster.local/ns/shop/sa/web"), Pattern::Suffix("/sa/api".into()), Pattern::Any]
    );
    assert_eq!(source.not_namespaces, [Pattern::Prefix("bank".into())]);
    assert_eq!(
        source.service_accounts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["shop/api", "bank/teller"]
    );
    let operation = &section.rules[0].to[0];
    assert_eq!(operation.paths, [Pattern::Prefix("/admin".into()), Pattern::Suffix(".js".into()), exact("/x")]);
    assert_eq!(operation.not_ports, [9090]);
    assert!(section.rules[1].from.is_empty() && section.rules[1].to.is_empty());
}

#[test]
fn a_policy_allows_by_default_and_selects_all_without_selector() {
    let policy = mesh_policy(&json!({"authorization": {}})).unwrap();
    assert_eq!(policy.selector, None);
    let section = policy.authorization.unwrap();
    assert_eq!((section.action, section.rules.len()), (Action::Allow, 0), "an ALLOW without rules denies everything");
}

#[test]
fn mesh_policies_with_a_mistake_in_their_form() {
    refused(
        mesh_policy,
        &[
            (
                json!({"mtls": {"mode": "strict"}}),
                "TUL3001: spec.mtls.mode: \"strict\" is not STRICT, PERMISSIVE or DISABLE; correct the value",
            ),
            (
                json!({"mtls": {"portLevelMtls": {"80": {"mode": "STRICT"}}}}),
                "TUL3003: spec.mtls.portLevelMtls: needs a selector, since ports belong to workloads; add spec.selector",
            ),
            (
                json!({"selector": {}, "mtls": {"portLevelMtls": {"http": {"mode": "STRICT"}}}}),
                "TUL3001: spec.mtls.portLevelMtls[http]: \"http\" is not a port; use 1 to 65535",
            ),
            (
                json!({"selector": {}, "mtls": {"portLevelMtls": {"80": {"mode": "OFF"}}}}),
                "TUL3001: spec.mtls.portLevelMtls[80].mode: \"OFF\" is not STRICT, PERMISSIVE or DISABLE; correct the value",
            ),
            (
                json!({"authorization": {"action": "CUSTOM"}}),
                "TUL3001: spec.authorization.action: \"CUSTOM\" is not ALLOW, DENY or AUDIT; correct the value",
            ),
            (
                json!({"authorization": {"rules": [{"from": []}]}}),
                "TUL3003: spec.authorization.rules[0].from: is an empty list; \
                 add an entry, or leave the field out to fit everything",
            ),
            (
                json!({"authorization": {"rules": [{}, {"to": [{"operation": {}}]}]}}),
                "TUL3003: spec.authorization.rules[1].to[0].operation: has no condition; \
                 add one, or leave from or to out to fit everything",
            ),
        ],
    );
}

#[test]
fn mesh_policies_with_a_mistake_in_a_pattern() {
    let source =
        |field: &str, value: &str| json!({"authorization": {"rules": [{"from": [{"source": {field: [value]}}]}]}});
    let operation =
        |field: &str, value: &str| json!({"authorization": {"rules": [{"to": [{"operation": {field: [value]}}]}]}});
    refused(
        mesh_policy,
        &[
            (
                source("principals", "a*b"),
                "TUL3012: spec.authorization.rules[0].from[0].source.principals[0]: \"a*b\" has '*' elsewhere than at one end; \
                 write an exact value, abc*, *abc or *",
            ),
            (
                source("principals", "cluster.local/sa/web"),
                "TUL3012: spec.authorization.rules[0].from[0].source.principals[0]: \"cluster.local/sa/web\" never fits: the path \
                 of an identity is exactly /ns/<namespace>/sa/<service account>; \
                 write <trust domain>/ns/<namespace>/sa/<service account>",
            ),
            (
                source("namespaces", "Shop"),
                "TUL3012: spec.authorization.rules[0].from[0].source.namespaces[0]: \"Shop\" never fits: it is no name of a \
                 namespace; correct the pattern",
            ),
            (
                source("notServiceAccounts", "a/b/c"),
                "TUL3001: spec.authorization.rules[0].from[0].source.notServiceAccounts[0]: \"a/b/c\" is no service account; \
                 write namespace/name, or name for this namespace",
            ),
            (
                operation("ports", "080"),
                "TUL3001: spec.authorization.rules[0].to[0].operation.ports[0]: \"080\" is not a port; use 1 to 65535",
            ),
            (
                operation("paths", "/a/../b"),
                "TUL3012: spec.authorization.rules[0].to[0].operation.paths[0]: \"/a/../b\" never fits: paths are compared in \
                 normal form, which is \"/b\"; correct the pattern",
            ),
            (
                operation("notPaths", "admin*"),
                "TUL3012: spec.authorization.rules[0].to[0].operation.notPaths[0]: \"admin\" never fits: the path does not start \
                 with '/'; correct the pattern",
            ),
        ],
    );
}

#[test]
fn a_mistake_becomes_a_condition_with_the_same_sentence() {
    use status::{ConditionType, Reason};
    let rows = [
        (split("web", &[("a", -1)]), ConditionType::Accepted, Reason::InvalidField),
        (split("web", &[("a.bank", 1)]), ConditionType::ResolvedRefs, Reason::RefNotPermitted),
        (json!({"service": "web", "backends": [], "rollout": {}}), ConditionType::Accepted, Reason::UnsupportedField),
    ];
    for (spec, kind, reason) in rows {
        let error = traffic_split(&spec).unwrap_err();
        let finding = error.finding();
        assert_eq!((finding.kind, finding.reason), (kind, reason));
        assert_eq!(finding.message, error.to_string());
    }
}

proptest::proptest! {
    #[test]
    fn any_split_is_read_or_refused_with_a_place(weights in proptest::collection::vec(-2_i64..1_000_002, 0..6)) {
        let backends: Vec<_> = weights.iter().enumerate().map(|(index, weight)| json!({"service": format!("s{index}"), "weight": weight})).collect();
        match traffic_split(&json!({"service": "web", "backends": backends})) {
            Ok(parsed) => {
                let read: Vec<_> = parsed.backends.iter().map(|(_, weight)| i64::from(weight.0)).collect();
                proptest::prop_assert_eq!(read, weights);
                proptest::prop_assert!(tulle_core::split::Split::new(parsed.backends).is_some());
            }
            Err(error) => proptest::prop_assert!(error.path.starts_with("spec.backends")),
        }
    }
}
