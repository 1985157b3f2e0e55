use serde_json::{Value, json};

use super::{SlimPod, pod, service, slice};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

#[test]
fn services() {
    let cut = service(read(json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
        "spec": {
            "clusterIPs": ["10.0.0.1", "fd00::1"], "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "http"},
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"port": 9000}
            ],
        },
    })));
    assert_eq!(cut.cluster_ips, ["10.0.0.1", "fd00::1"]);
    let ports: Vec<_> =
        cut.ports.iter().map(|port| (port.name.as_str(), port.port, port.app_protocol.as_deref())).collect();
    assert_eq!(ports, [("http", 80, Some("http")), ("", 9000, None)], "TCP only");
    assert!(!cut.headless && cut.alias_of.is_none());

    let headless = service(read(json!({"metadata": {}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}})));
    assert!(headless.headless && headless.cluster_ips.is_empty());
    let external =
        service(read(json!({"metadata": {}, "spec": {"type": "ExternalName", "externalName": "example.com"}})));
    assert_eq!((external.alias_of.as_deref(), external.cluster_ips.len()), (Some("example.com"), 0));
    let former = service(read(json!({"metadata": {}, "spec": {"type": "ClusterIP", "externalName": "example.com"}})));
    assert_eq!(former.alias_of, None, "of another type");
}

#[test]
fn slices() {
    let cut = slice(read(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.1.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "a", "namespace": "shop"}},
            {"addresses": ["10.1.0.2"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "b"}},
            {"addresses": ["10.1.0.3"], "targetRef": {"kind": "Pod", "name": "c", "namespace": "bank"}},
            {"addresses": ["10.1.0.4"], "targetRef": {"kind": "Node", "name": "n"}},
        ],
    })));
    assert_eq!(cut.service.as_deref(), Some("web"));
    let endpoints: Vec<_> = cut.endpoints.iter().map(|e| (e.pod.as_deref(), e.address.as_str(), e.ready)).collect();
    let expected = [
        (Some("a"), "10.1.0.1", true),
        (Some("b"), "10.1.0.2", false),
        (None, "10.1.0.3", true), // a pod of another namespace lends nobody its identity
        (None, "10.1.0.4", true),
    ];
    assert_eq!(endpoints, expected);
}

#[test]
fn pods() {
    let base = json!({
        "metadata": {"name": "web-1", "uid": "u", "labels": {"app": "web"}},
        "spec": {"serviceAccountName": "web", "nodeName": "n1", "initContainers": [{"name": "tulle-proxy"}], "containers": [{"name": "x"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00::5"}]},
    });
    let read_pod = |value: &Value| pod(read::<SlimPod>(value.clone()));
    let cut = read_pod(&base);
    assert!(cut.meshed && !cut.ended);
    assert_eq!((cut.service_account.as_str(), cut.node.as_deref(), cut.ips.len()), ("web", Some("n1"), 2));

    let rows: [(&str, &str, Value, bool, bool); 5] = [
        ("a label alone does not mesh a pod", "/spec/initContainers", json!([{"name": "setup"}]), false, false),
        ("the host's network is never meshed", "/spec/hostNetwork", json!(true), false, false),
        ("a finished Job", "/status/phase", json!("Succeeded"), true, true),
        ("a failed pod", "/status/phase", json!("Failed"), true, true),
        ("not started", "/status/phase", json!("Pending"), true, false),
    ];
    for (name, pointer, value, meshed, ended) in rows {
        let mut changed = base.clone();
        changed["metadata"]["labels"]["tulle.dev/injected"] = json!("true");
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        changed.pointer_mut(parent).expect("a parent")[field] = value;
        let cut = read_pod(&changed);
        assert_eq!((cut.meshed, cut.ended), (meshed, ended), "{name}");
    }

    let bare = pod(read::<SlimPod>(json!({"metadata": {"name": "x"}, "spec": {}})));
    assert_eq!((bare.service_account.as_str(), bare.ips.len()), ("default", 0));
}
