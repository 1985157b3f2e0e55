use std::sync::Arc;

use tulle_core::snapshot::Protocol;
use tulle_crds::mesh_service::Workload;

use super::super::object::EndpointSlice;
use super::*;

/// An EndpointSlice as the API server sends it, with ports `http` 8080 and `metrics` 9090.
fn slice(endpoints: &str) -> SliceRecord {
    let text = format!(
        r#"{{"metadata": {{"name": "web-1", "labels": {{"kubernetes.io/service-name": "web"}}}}, "addressType": "IPv4",
            "ports": [{{"name": "http", "port": 8080, "protocol": "TCP"}}, {{"name": "metrics", "port": 9090}},
                      {{"name": "dns", "port": 53, "protocol": "UDP"}}, {{"name": "all"}}],
            "endpoints": {endpoints}}}"#
    );
    let slice: EndpointSlice = serde_json::from_str(&text).unwrap();
    SliceRecord::of(slice).unwrap()
}

fn service(outside: &[&str], external_endpoints: bool) -> ServiceRecord {
    ServiceRecord {
        cluster_ips: Vec::new(),
        ports: Vec::new(),
        identities: Arc::from([]),
        outside: outside.iter().map(|pod| (*pod).to_owned()).collect(),
        external_endpoints,
        workloads: Vec::new(),
    }
}

fn port(name: &str) -> ServicePort {
    ServicePort { name: name.to_owned(), number: 80, protocol: Protocol::Http }
}

fn pod(address: &str, name: &str, conditions: &str) -> String {
    format!(
        r#"{{"addresses": ["{address}"], "conditions": {{{conditions}}}, "targetRef": {{"kind": "Pod", "name": "{name}"}}}}"#
    )
}

/// `address transport` of each endpoint.
fn shown(endpoints: &[Endpoint]) -> Vec<String> {
    endpoints.iter().map(|endpoint| format!("{} {:?}", endpoint.address, endpoint.transport)).collect()
}

#[test]
fn conditions_decide_who_takes_traffic() {
    let ready = r#""ready": true"#;
    let unready = r#""ready": false"#;
    let ending = r#""ready": false, "serving": true, "terminating": true"#;
    let ended = r#""ready": false, "serving": false, "terminating": true"#;
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, Vec<&'a str>);
    let rows: [Row; 8] = [
        ("nothing", vec![], vec![]),
        ("ready", vec![("10.0.0.1", ready), ("10.0.0.2", unready)], vec!["10.0.0.1:8080 Mesh"]),
        ("unknown means ready", vec![("10.0.0.1", "")], vec!["10.0.0.1:8080 Mesh"]),
        ("terminating waits behind ready", vec![("10.0.0.1", ending), ("10.0.0.2", ready)], vec!["10.0.0.2:8080 Mesh"]),
        ("terminating takes over", vec![("10.0.0.1", ending), ("10.0.0.2", unready)], vec!["10.0.0.1:8080 Mesh"]),
        ("ended", vec![("10.0.0.1", ended)], vec![]),
        (
            "in order, each once",
            vec![("10.0.0.2", ready), ("10.0.0.1", ready), ("10.0.0.2", ready)],
            vec!["10.0.0.1:8080 Mesh", "10.0.0.2:8080 Mesh"],
        ),
        ("the better of two states", vec![("10.0.0.1", ending), ("10.0.0.1", ready)], vec!["10.0.0.1:8080 Mesh"]),
    ];
    for (name, endpoints_of, want) in rows {
        let list: Vec<String> =
            endpoints_of.iter().map(|(address, conditions)| pod(address, "p", conditions)).collect();
        let slices = [slice(&format!("[{}]", list.join(",")))];
        assert_eq!(shown(&endpoints((&service(&[], false), &port("http")), None, slices.iter(), true)), want, "{name}");
    }
}

#[test]
fn the_port_name_ties_service_and_slice() {
    let slices = [slice(&format!("[{}]", pod("10.0.0.1", "p", "")))];
    let rows: [(&str, &[&str]); 5] = [
        ("http", &["10.0.0.1:8080 Mesh"]),
        ("metrics", &["10.0.0.1:9090 Mesh"]),
        ("dns", &[]),
        ("all", &[]),
        ("", &[]),
    ];
    for (name, want) in rows {
        assert_eq!(shown(&endpoints((&service(&[], false), &port(name)), None, slices.iter(), true)), want, "{name}");
    }
}

#[test]
fn a_subset_is_looked_at_as_if_there_were_no_others() {
    let ending = r#""ready": false, "serving": true, "terminating": true"#;
    let slices = [
        slice(&format!(
            r#"[{}, {}, {{"addresses": ["10.0.0.3"]}}]"#,
            pod("10.0.0.1", "web-a-1", ""),
            pod("10.0.0.2", "web-b-1", ending)
        )),
        slice(&format!("[{}]", pod("fd00::1", "web-b-1", ""))),
    ];
    let workload = |pods: &str, version: &str| Workload {
        pods: pods.to_owned(),
        labels: [("version".to_owned(), version.to_owned())].into(),
    };
    let mut service = service(&["web-a-1"], true);
    service.workloads = vec![workload("web-a-*", "v1"), workload("web-b-*", "v2")];
    let subset = |labels: &[(&str, &str)]| Subset {
        name: "v".into(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [SliceRecord], &'a [&'a str]);
    let rows: [Row<'_>; 5] = [
        ("every endpoint, also by hand", &[], &slices, &["10.0.0.1:8080 Plain", "10.0.0.3:8080 Plain"]),
        ("one outside the mesh", &[("version", "v1")], &slices, &["10.0.0.1:8080 Plain"]),
        ("the only ready one, of the other family", &[("version", "v2")], &slices, &["[fd00::1]:8080 Mesh"]),
        ("one that ends, though others are ready", &[("version", "v2")], &slices[..1], &["10.0.0.2:8080 Mesh"]),
        ("none", &[("version", "v3")], &slices, &[]),
    ];
    for (name, labels, slices, want) in rows {
        let found = endpoints((&service, &port("http")), Some(&subset(labels)), slices.iter(), true);
        assert_eq!(shown(&found), want, "{name}");
    }
}

#[test]
fn plaintext_is_only_for_what_the_operator_lists() {
    let slices = [slice(&format!(
        r#"[{}, {}, {{"addresses": ["10.0.0.3"]}}]"#,
        pod("10.0.0.1", "meshed", ""),
        pod("10.0.0.2", "bare", "")
    ))];
    let rows = [
        (service(&["bare"], false), ["10.0.0.1:8080 Mesh", "10.0.0.2:8080 Plain", "10.0.0.3:8080 Mesh"]),
        (service(&[], true), ["10.0.0.1:8080 Mesh", "10.0.0.2:8080 Mesh", "10.0.0.3:8080 Plain"]),
    ];
    for (service, want) in rows {
        assert_eq!(shown(&endpoints((&service, &port("http")), None, slices.iter(), true)), want, "{service:?}");
    }
}

#[test]
fn one_family_is_used() {
    let both = [slice(&format!("[{}]", pod("fd00::1", "p", ""))), slice(&format!("[{}]", pod("10.0.0.1", "p", "")))];
    let rows: [(bool, &[SliceRecord], &[&str]); 4] = [
        (true, &both, &["10.0.0.1:8080 Mesh"]),
        (false, &both, &["[fd00::1]:8080 Mesh"]),
        (true, &both[..1], &["[fd00::1]:8080 Mesh"]),
        (false, &both[1..], &["10.0.0.1:8080 Mesh"]),
    ];
    for (prefer_ipv4, slices, want) in rows {
        assert_eq!(shown(&endpoints((&service(&[], false), &port("http")), None, slices.iter(), prefer_ipv4)), want);
    }
}
