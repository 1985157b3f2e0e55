use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tulle_crds::{VirtualService, VirtualServiceStatus};

use super::{plan, shown};
use crate::desired::testing::{report, settings, world};
use crate::world::tests::{at, service};
use crate::world::{Change, Port, Service};

fn status_of(spec: &Value) -> VirtualServiceStatus {
    let object: VirtualService = serde_json::from_value(json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
        "metadata": {"name": "routes", "namespace": "shop", "generation": 1},
        "spec": spec,
    }))
    .expect("a VirtualService");
    let web = Service { ports: vec![Port { port: 80, ..Port::default() }], ..service("web") };
    let world =
        world([Change::Service(at("web"), Some(web)), Change::VirtualService(at("routes"), Some(Arc::new(object)))]);
    let report = report(plan(&at("routes"), &world, &settings(), Timestamp::UNIX_EPOCH));
    serde_json::from_value(report.status).expect("a status")
}

#[test]
fn what_is_said_of_routes() {
    let to = |host: &str, port: u16| json!([{"route": [{"destination": {"host": host, "port": {"number": port}}}]}]);
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
        ("no rule", json!({"hosts": ["web"], "http": []}), "False", "InvalidField", "TUL3003: spec.http"),
    ];
    for (name, spec, ready, reason, message) in rows {
        let status = status_of(&spec);
        let condition = status.conditions.last().expect("Ready");
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            (ready, reason),
            "{name}: {}",
            condition.message
        );
        assert!(condition.message.starts_with(message), "{name}: {}", condition.message);
        assert_eq!(status.conditions.len(), 4, "{name}");
    }
}

#[test]
fn hosts_are_shown_short() {
    let rows: [(&[&str], &str); 4] =
        [(&[], ""), (&["a"], "a"), (&["a", "b"], "a,b"), (&["a", "b", "c", "d"], "a,b +2")];
    for (hosts, expected) in rows {
        assert_eq!(shown(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()), expected);
    }
}
