use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use tulle_crds::{VirtualService, VirtualServiceStatus};

use super::{plan, shown};
use crate::desired::testing::{mesh_service, report, settings, world};
use crate::world::tests::{at, pod, service, slice};
use crate::world::{Change, Key, Port, Ref, Service, World};

fn status_of(spec: &Value) -> VirtualServiceStatus {
    let object: VirtualService = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": "shop", "generation": 1},
        "spec": spec,
    }))
    .expect("a VirtualService");
    let web = Service { ports: vec![Port { port: 80, ..Port::default() }], ..service("web") };
    let alias = Service { alias_of: Some("db.example.com".into()), ..service("alias") };
    let world = world([
        Change::Service(at("web"), Some(web)),
        Change::Service(at("alias"), Some(alias)),
        Change::VirtualService(at("routes"), Some(Arc::new(object))),
    ]);
    let report = report(plan(&at("routes"), &world, &settings(), Timestamp::UNIX_EPOCH));
    serde_json::from_value(report.status).expect("a status")
}

#[test]
fn what_is_not_served_is_said() {
    let http = json!([{"route": [{"destination": {"host": "web"}}]}]);
    let message = |gateways: Value| {
        status_of(&json!({"hosts": ["web"], "gateways": gateways, "http": http})).conditions[0].message.clone()
    };
    assert_eq!(message(json!(["mesh"])), "understood");
    let partly = "understood; of the gateways only mesh is served by this release";
    assert_eq!(message(json!(["edge", "mesh"])), partly);
    let route = json!([{"destination": {"host": "web"}}]);
    for (list, condition) in [("tls", json!({"sniHosts": ["a"]})), ("tcp", json!({}))] {
        let mut edge = condition.clone();
        edge["gateways"] = json!(["edge"]);
        let spec = json!({"hosts": ["web"], list: [{"match": [condition, edge], "route": route}]});
        assert_eq!(status_of(&spec).conditions[0].message, partly, "{list}");
        assert_eq!(status_of(&spec).rules, Some(1), "{list}");
    }
}

/// A list of one rule that sends everything to a port of a Service.
fn to_port(host: &str, port: u16) -> Value {
    json!([{"route": [{"destination": {"host": host, "port": {"number": port}}}]}])
}

/// Checks rows of: what it is, a spec, and status, reason and begin of the message of its Ready.
fn said(rows: &[(&str, Value, &str, &str, &str)]) {
    for (name, spec, ready, reason, message) in rows {
        let status = status_of(spec);
        let condition = status.conditions.last().expect("Ready");
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            (*ready, *reason),
            "{name}: {}",
            condition.message
        );
        assert!(condition.message.starts_with(*message), "{name}: {}", condition.message);
        assert_eq!(status.conditions.len(), 4, "{name}");
    }
}

#[test]
fn what_is_said_of_routes() {
    let to = to_port;
    let rows = [
        ("resolved", json!({"hosts": ["web"], "http": to("web", 80)}), "True", "Ready", "in force"),
        (
            "host",
            json!({"hosts": ["nowhere"], "http": to("web", 80)}),
            "False",
            "ServiceNotFound",
            "TUL3005: spec.hosts[0]: Service shop/nowhere",
        ),
        (
            "destination",
            json!({"hosts": ["web"], "http": to("nowhere", 80)}),
            "False",
            "ServiceNotFound",
            "TUL3005: spec.http[0].route[0].destination.host: Service shop/nowhere",
        ),
        (
            "port",
            json!({"hosts": ["web"], "http": to("web", 81)}),
            "False",
            "PortNotFound",
            "TUL3007: spec.http[0].route[0].destination.port.number: Service shop/web has no TCP port 81",
        ),
        (
            "a rule after one for gateways",
            json!({"hosts": ["web"], "http": [
                {"match": [{"gateways": ["edge"]}], "route": [{"destination": {"host": "web"}}]},
                {"route": [{"destination": {"host": "nowhere"}}]},
            ]}),
            "False",
            "ServiceNotFound",
            "TUL3005: spec.http[1].route[0].destination.host: Service shop/nowhere",
        ),
        (
            "a host that is an alias",
            json!({"hosts": ["web", "alias"], "http": to("web", 80)}),
            "False",
            "ExternalName",
            "TUL3015: spec.hosts[1]: Service shop/alias is an alias of db.example.com (ExternalName); \
             name the Service that it stands for; what is outside the cluster can only be called",
        ),
        (
            "a destination that is an alias",
            json!({"hosts": ["web"], "http": to("alias", 80)}),
            "False",
            "ExternalName",
            "TUL3015: spec.http[0].route[0].destination.host: Service shop/alias is an alias of db.example.com",
        ),
        ("a wildcard over one", json!({"hosts": ["*"], "http": to("web", 80)}), "True", "Ready", "in force"),
        ("no rule", json!({"hosts": ["web"], "http": []}), "False", "InvalidField", "TUL3003: spec: lists no rule"),
    ];
    said(&rows);
}

#[test]
fn what_is_said_of_routes_of_bytes() {
    let to = to_port;
    let named = |rules: &Value| {
        let mut rules = rules.clone();
        rules[0]["match"] = json!([{"sniHosts": ["a.example"]}]);
        rules
    };
    let rows = [
        (
            "bytes",
            json!({"hosts": ["web"], "tls": named(&to("web", 80)), "tcp": to("web", 80)}),
            "True",
            "Ready",
            "in force",
        ),
        (
            "destination of a server's name",
            json!({"hosts": ["web"], "tls": named(&to("nowhere", 80)), "tcp": to("web", 80)}),
            "False",
            "ServiceNotFound",
            "TUL3005: spec.tls[0].route[0].destination.host: Service shop/nowhere",
        ),
        (
            "port of bytes",
            json!({"hosts": ["web"], "tcp": [to("web", 80)[0], {"route": [
                {"destination": {"host": "web"}, "weight": 1}, {"destination": {"host": "web", "port": {"number": 81}}},
            ]}]}),
            "False",
            "PortNotFound",
            "TUL3007: spec.tcp[1].route[1].destination.port.number: Service shop/web has no TCP port 81",
        ),
        (
            "a server that no client names",
            json!({"hosts": ["web"], "tls": [{"match": [{"sniHosts": ["1.2.3.4"]}], "route": to("web", 80)[0]["route"]}]}),
            "False",
            "InvalidField",
            "TUL3012: spec.tls[0].match[0].sniHosts[0]: \"1.2.3.4\" never fits",
        ),
    ];
    said(&rows);
}

/// What a consumer's routes lead to in the namespace of its hosts.
#[test]
fn services_of_other_namespaces_are_found_and_followed() {
    let abroad = |name: &str| Ref { namespace: "bank".into(), name: name.into() };
    let object: VirtualService = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": "shop", "generation": 1},
        "spec": {"hosts": ["web.bank"], "http": [{"route": [{"destination": {"host": "web-v2.bank"}}]}]},
    }))
    .expect("a VirtualService");
    let mut world = world([
        Change::Namespace("shop".into(), Some(true)),
        Change::Bound(Some(["shop".into()].into())),
        Change::BundleBound(Some(["shop".into()].into())),
        Change::VirtualService(at("routes"), Some(Arc::new(object))),
    ]);
    let told = |world: &World| -> VirtualServiceStatus {
        let report = report(plan(&at("routes"), world, &settings(), Timestamp::UNIX_EPOCH));
        serde_json::from_value(report.status).expect("a status")
    };
    let nowhere = |at: &str, name: &str| {
        format!("TUL3005: spec.{at}: Service bank/{name} does not exist; create it, or correct the name")
    };
    let ready = |world: &World| told(world).conditions.last().expect("Ready").message.clone();
    assert_eq!(ready(&world), nowhere("hosts[0]", "web"));
    for (appears, then) in [
        (Change::Service(abroad("web"), Some(service("web"))), nowhere("http[0].route[0].destination.host", "web-v2")),
        (Change::Service(abroad("web-v2"), Some(service("web-v2"))), "MeshService bank/web is being published".into()),
        (
            Change::MeshService(abroad("web"), Some(mesh_service("web"))),
            "MeshService bank/web-v2 is being published".into(),
        ),
        (Change::MeshService(abroad("web-v2"), Some(mesh_service("web-v2"))), "in force".into()),
    ] {
        let mut dirty = BTreeSet::new();
        world.take_in(appears, &mut dirty);
        assert!(dirty.contains(&Key::VirtualService(at("routes"))), "decided anew: {dirty:?}");
        assert!(ready(&world).contains(&then), "{} is not {then}", ready(&world));
    }
    let accepted = "understood; for callers in shop only, whose calls to bank/web no rule of bank sees";
    assert_eq!(told(&world).conditions[0].message, accepted);

    let mut dirty = BTreeSet::new();
    world.take_in(Change::VirtualService(at("routes"), None), &mut dirty);
    dirty.clear();
    world.take_in(Change::Service(abroad("web"), None), &mut dirty);
    assert!(!dirty.contains(&Key::VirtualService(at("routes"))), "it is gone: {dirty:?}");
}

#[test]
fn what_is_never_reached_is_said_and_by_whom() {
    let object = |name: &str, created: &str, spec: Value| {
        let manifest = json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "shop", "generation": 1, "creationTimestamp": created},
            "spec": spec,
        });
        Change::VirtualService(at(name), Some(Arc::new(serde_json::from_value(manifest).expect("a VirtualService"))))
    };
    let to_web = json!([{"destination": {"host": "web"}}]);
    let all = json!({"route": to_web});
    let some = json!({"match": [{"uri": {"prefix": "/a"}}], "route": to_web});
    let young = |hosts: Value| json!({"hosts": hosts, "http": [some]});
    let tls = |name: &str| json!({"hosts": ["web"], "tls": [{"match": [{"sniHosts": [name]}], "route": to_web}]});
    let tcp = json!({"hosts": ["web"], "tcp": [all]});
    let both = json!({"hosts": ["web"], "http": [some], "tcp": [all]});
    let rows: Vec<(&str, Value, Value, Option<&str>)> = vec![
        ("all bytes", tcp.clone(), tcp.clone(), Some("tcp[0]")),
        ("all names", tls("*"), tls("a"), Some("tls[0]")),
        ("one name", tls("a"), tls("*"), None),
        ("bytes after names", tcp.clone(), tls("*"), None),
        ("requests beside bytes", tcp.clone(), young(json!(["web"])), None),
        ("one list of two", tcp, both.clone(), None),
        ("both lists", json!({"hosts": ["web"], "http": [all], "tcp": [all]}), both, Some("http[0]")),
        (
            "a catch-all before it",
            json!({"hosts": ["web"], "http": [some, all]}),
            young(json!(["web"])),
            Some("http[1]"),
        ),
        ("none", json!({"hosts": ["web"], "http": [some]}), young(json!(["web"])), None),
        ("of another host", json!({"hosts": ["api"], "http": [all]}), young(json!(["web"])), None),
        ("of one of two hosts", json!({"hosts": ["web"], "http": [all]}), young(json!(["web", "api"])), None),
        ("a wildcard", json!({"hosts": ["*"], "http": [all]}), young(json!(["*"])), Some("http[0]")),
        ("another name than a wildcard", json!({"hosts": ["web"], "http": [all]}), young(json!(["*"])), None),
        ("a wildcard beside a name", json!({"hosts": ["*"], "http": [all]}), young(json!(["web"])), None),
        ("a wildcard of another namespace", json!({"hosts": ["*.bank"], "http": [all]}), young(json!(["*"])), None),
        ("of both", json!({"hosts": ["api", "web"], "http": [all]}), young(json!(["web", "api"])), Some("http[0]")),
        (
            "for other proxies",
            json!({"hosts": ["web"], "exportTo": ["bank"], "http": [all]}),
            young(json!(["web"])),
            None,
        ),
    ];
    for (name, older, younger, rule) in rows {
        let services = ["web", "api"].map(|name| Change::Service(at(name), Some(service(name))));
        let objects =
            [object("older", "2025-01-01T00:00:00Z", older), object("routes", "2026-01-01T00:00:00Z", younger)];
        let world = world(services.into_iter().chain(objects));
        let told = |name: &str| -> VirtualServiceStatus {
            let report = report(plan(&at(name), &world, &settings(), Timestamp::UNIX_EPOCH));
            serde_json::from_value(report.status).expect("a status")
        };
        assert_eq!(told("older").winner, None, "{name}");
        let status = told("routes");
        assert_eq!(status.winner.as_deref(), rule.map(|_| "shop/older"), "{name}");
        let ready = status.conditions.last().expect("Ready");
        assert_eq!(ready.reason == "Conflicted", rule.is_some(), "{name}: {}", ready.message);
        if let Some(rule) = rule {
            let sentence = format!("is taken already by the older VirtualService shop/older {rule}");
            assert!(ready.message.contains(&sentence), "{name}: {}", ready.message);
        }
    }
}

/// `shop/web` with one ready pod, and an object in a namespace.
fn one_pod(namespace: &str, spec: &Value) -> (Ref, World) {
    let of = Ref { namespace: namespace.into(), name: "routes".into() };
    let object: VirtualService = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": namespace, "generation": 1}, "spec": spec,
    }))
    .expect("a VirtualService");
    let world = world([
        Change::Service(at("web"), Some(service("web"))),
        Change::Pod(at("web-1"), Some(pod("web", true))),
        Change::Slice(at("web-x"), Some(slice("web", &[("web-1", true)]))),
        Change::VirtualService(of.clone(), Some(Arc::new(object))),
    ]);
    (of, world)
}

/// A subset that receives something needs a ready pod with its labels, wherever the object that names it is.
#[test]
fn what_is_said_of_subsets() {
    let routes = |weight: i64, mirrors: Value| {
        json!({
            "subsets": [{"name": "v1", "labels": {"app": "web"}}, {"name": "v2", "labels": {"version": "v2"}}],
            "http": [{
                "route": [
                    {"destination": {"host": "web.shop", "subset": "v1"}, "weight": 1},
                    {"destination": {"host": "web.shop", "subset": "v2"}, "weight": weight},
                ],
                "mirrors": mirrors,
            }],
        })
    };
    let mirror =
        |share: f64| json!([{"destination": {"host": "web.shop", "subset": "v2"}, "percentage": {"value": share}}]);
    let empty = |place: &str| {
        format!(
            "TUL2002: spec.{place}.subset: subset v2 of shop/web has no ready endpoint, and what is sent to it fails; \
             check that pods are ready: kubectl get endpointslices"
        )
    };
    let (branch, copy) = ("http[0].route[1].destination", "http[0].mirrors[0].destination");
    let bytes = json!({
        "subsets": [{"name": "v2", "labels": {"version": "v2"}}],
        "tcp": [{"route": [{"destination": {"host": "web.shop", "subset": "v2"}}]}],
    });
    let rows = [
        ("weight", "shop", routes(1, json!([])), Some(branch)),
        ("no weight", "shop", routes(0, json!([])), None),
        ("mirror", "shop", routes(0, mirror(1.0)), Some(copy)),
        ("no share", "shop", routes(0, mirror(0.0)), None),
        ("bytes", "shop", bytes, Some("tcp[0].route[0].destination")),
        ("a consumer", "bank", routes(1, json!([])), Some(branch)),
    ];
    for (name, namespace, mut spec, place) in rows {
        spec["hosts"] = json!(["web.shop"]);
        let (of, mut world) = one_pod(namespace, &spec);
        let resolved = |world: &World| {
            let report = report(plan(&of, world, &settings(), Timestamp::UNIX_EPOCH));
            let status: VirtualServiceStatus = serde_json::from_value(report.status).expect("a status");
            status.conditions[1].clone()
        };
        let before = resolved(&world);
        let expected = place.map_or_else(|| "every service, port and subset exists".to_owned(), empty);
        assert_eq!(before.message, expected, "{name}");
        assert_eq!(before.reason == "BackendUnavailable", place.is_some(), "{name}");

        let mut second = pod("web", true);
        second.labels.insert("version".into(), "v2".into());
        for (ready, change) in [
            (false, Change::Pod(at("web-1"), Some(second))),
            (true, Change::Slice(at("web-x"), Some(slice("web", &[("web-1", false)])))),
        ] {
            let mut dirty = BTreeSet::new();
            world.take_in(change, &mut dirty);
            assert!(dirty.contains(&Key::VirtualService(of.clone())), "{name}: {dirty:?}");
            assert_eq!(resolved(&world).status == "False", ready, "{name}: {}", resolved(&world).message);
        }
    }
}

#[test]
fn what_is_said_of_rules_that_cannot_be_read() {
    let good = || json!({"match": [{"uri": {"prefix": "/a"}}], "route": [{"destination": {"host": "web"}}]});
    let bad = |field: &str, value: Value| {
        let mut rule = good();
        rule[field] = value;
        rule
    };
    let said = |http: Value| {
        let status = status_of(&json!({"hosts": ["web"], "http": http}));
        let line = |c: &Condition| format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message);
        status.conditions.iter().map(line).collect::<Vec<_>>()
    };
    let instead =
        "What fits them gets 500 (invalid-rule), or what the last good version did where a proxy still has it";
    let timeout = "is not a duration; write numbers with units, such as 500ms, 10s or 1m30s";

    let partly = said(json!([good(), bad("timeout", json!("soon")), bad("timeout", json!("later")), good()]));
    let dropped = format!(
        "Dropped Rule http[1], http[2]: TUL3001: spec.http[1].timeout: \"soon\" {timeout}; \
         TUL3001: spec.http[2].timeout: \"later\" {timeout}. {instead}"
    );
    assert_eq!(partly[0], "Accepted True Accepted: understood");
    assert_eq!(partly[1], format!("PartiallyInvalid True UnsupportedValue: {dropped}"));
    assert!(partly[2].starts_with("ResolvedRefs True"), "{}", partly[2]);
    assert!(partly[3].starts_with("Programmed True"), "{}", partly[3]);
    assert_eq!(partly[4], format!("Ready False UnsupportedValue: {dropped}"));

    let forbidden = said(json!([good(), bad("route", json!([{"destination": {"host": "web.bank"}}]))]));
    assert!(
        forbidden[1].starts_with("PartiallyInvalid True UnsupportedValue: Dropped Rule http[1]: TUL3006"),
        "{forbidden:?}"
    );
    assert!(
        forbidden[2].starts_with("ResolvedRefs False RefNotPermitted: TUL3006: spec.http[1].route[0]"),
        "{forbidden:?}"
    );

    let none = said(json!([bad("timeout", json!("soon"))]));
    assert_eq!(
        none[0],
        format!("Accepted False InvalidField: TUL3001: spec.http[0].timeout: \"soon\" {timeout}. {instead}")
    );
    assert!(none[1].starts_with("ResolvedRefs Unknown NotAccepted"), "{none:?}");
    assert_eq!(none.len(), 4, "of nothing nothing is partial");
}

#[test]
fn what_is_said_of_wildcards() {
    let to_web = || json!([{"route": [{"destination": {"host": "web"}}]}]);
    let object = |name: &str, hosts: Value| {
        let manifest = json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "shop", "generation": 1},
            "spec": {"hosts": hosts, "http": to_web()},
        });
        Change::VirtualService(at(name), Some(Arc::new(serde_json::from_value(manifest).expect("a VirtualService"))))
    };
    let told = |world: &World| -> VirtualServiceStatus {
        let report = report(plan(&at("routes"), world, &settings(), Timestamp::UNIX_EPOCH));
        serde_json::from_value(report.status).expect("a status")
    };
    let known = |objects: Vec<Change>| {
        let services =
            [Change::Service(at("web"), Some(service("web"))), Change::Service(at("api"), Some(service("api")))];
        world(services.into_iter().chain(objects))
    };
    let said = |hosts: Value, other: Option<Value>| {
        let objects = [Some(object("routes", hosts)), other.map(|hosts| object("another", hosts))];
        let status = told(&known(objects.into_iter().flatten().collect()));
        let [accepted, refs] = [0, 1].map(|at| status.conditions[at].clone());
        (accepted.message, refs.reason, refs.message, status.winner)
    };
    let (accepted, refs, _, winner) = said(json!(["*"]), None);
    assert_eq!((accepted.as_str(), refs.as_str(), winner), ("understood", "ResolvedRefs", None));

    let (accepted, _, _, winner) = said(json!(["*"]), Some(json!(["web", "api.shop"])));
    assert_eq!(accepted, "understood; not asked for shop/api,shop/web, which other objects name");
    assert_eq!(winner, None);
    let (accepted, ..) = said(json!(["*", "web"]), Some(json!(["web"])));
    assert_eq!(accepted, "understood", "it names the Service itself as well");

    let (accepted, refs, message, _) = said(json!(["*.bank"]), None);
    assert_eq!(
        accepted,
        "understood; for callers in shop only, whose calls to bank/* no rule of bank that does not name a service of it sees"
    );
    assert_eq!(refs, "ServiceNotFound");
    assert!(message.starts_with("TUL3005: spec.hosts[0]: namespace bank has no Service"), "{message}");

    let (accepted, _, _, winner) = said(json!(["*"]), Some(json!(["*.shop"])));
    let longer =
        "TUL3008: spec.hosts[0]: every request to shop/* is for VirtualService shop/another, whose host is longer";
    assert!(accepted.starts_with(longer), "{accepted}");
    assert_eq!(winner.as_deref(), Some("shop/another"));
    let (_, _, _, winner) = said(json!(["*.shop"]), Some(json!(["*"])));
    assert_eq!(winner, None);

    let mut world = known(vec![object("routes", json!(["*.bank"]))]);
    let mut dirty = BTreeSet::new();
    let till = Ref { namespace: "bank".into(), name: "till".into() };
    world.take_in(Change::Service(till, Some(service("till"))), &mut dirty);
    assert!(dirty.contains(&Key::VirtualService(at("routes"))), "decided anew: {dirty:?}");
    assert_eq!(told(&world).conditions[1].reason, "ResolvedRefs");
}

#[test]
fn hosts_are_shown_short() {
    let rows: [(&[&str], &str); 4] =
        [(&[], ""), (&["a"], "a"), (&["a", "b"], "a,b"), (&["a", "b", "c", "d"], "a,b +2")];
    for (hosts, expected) in rows {
        assert_eq!(shown(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()), expected);
    }
}

#[test]
fn what_is_said_of_delegation() {
    let rule = |to: Value| json!({"http": [{"delegate": to}]});
    let to_web = json!({"http": [{"route": [{"destination": {"host": "web"}}]}]});
    let rows = [
        ("whole", Some(to_web), "Ready", "in force"),
        (
            "missing",
            None,
            "DelegateNotFound",
            "TUL3005: spec.http[0].delegate: VirtualService shop/team does not exist, or cannot be read; create it",
        ),
        (
            "a circle",
            Some(rule(json!({"name": "team"}))),
            "InvalidField",
            "TUL3001: VirtualService shop/team http[0] delegate: delegation in a circle: shop/routes -> shop/team -> shop/team",
        ),
        (
            "a gap further on",
            Some(rule(json!({"name": "team", "namespace": "bank"}))),
            "DelegateNotFound",
            "TUL3005: VirtualService shop/team http[0] delegate: VirtualService bank/team",
        ),
    ];
    let object = |name: &str, mut spec: Value, hosts: Value| {
        spec["hosts"] = hosts;
        let manifest = json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": "shop", "generation": 1}, "spec": spec,
        });
        Change::VirtualService(at(name), Some(Arc::new(serde_json::from_value(manifest).expect("a VirtualService"))))
    };
    for (what, team, reason, message) in rows {
        let web = Change::Service(at("web"), Some(service("web")));
        let root = object("routes", rule(json!({"name": "team"})), json!(["web"]));
        let mut world = world([web, root]);
        let mut dirty = BTreeSet::new();
        if let Some(team) = team {
            world.take_in(object("team", team, json!([])), &mut dirty);
            assert!(dirty.contains(&Key::VirtualService(at("routes"))), "{what}: {dirty:?}");
        }
        let report = report(plan(&at("routes"), &world, &settings(), Timestamp::UNIX_EPOCH));
        let status: VirtualServiceStatus = serde_json::from_value(report.status).expect("a status");
        let ready = status.conditions.last().expect("Ready");
        assert_eq!(ready.reason, reason, "{what}: {}", ready.message);
        assert!(ready.message.starts_with(message), "{what}: {}", ready.message);
    }
    let alone = status_of(&json!({"http": [{"route": [{"destination": {"host": "web"}}]}]}));
    assert!(alone.conditions[0].message.contains("by delegate"), "{}", alone.conditions[0].message);
}
