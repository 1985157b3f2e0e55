//! Annotations as a table: what each accepts, and what is said about the rest.

use super::*;
use serde_json::json;

/// The chart's defaults.
pub(crate) fn settings() -> Settings {
    let resources = r#"{"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "256Mi"}}"#;
    Settings {
        image: "registry.example/tulle/proxy:1.2.3".into(),
        image_pull_policy: "IfNotPresent".into(),
        system_namespace: "tulle-system".into(),
        excluded_namespaces: vec!["kube-system".into()],
        trust_domain: "cluster.local".parse().expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        issuer: "tulle-issuer.tulle-system.svc:15012".into(),
        default_mtls: MtlsMode::Permissive,
        cluster_networks: String::new(),
        tracing_endpoint: String::new(),
        defaults: Sidecar {
            resources: resources.parse().expect("resources"),
            log: "info".into(),
            ..Sidecar::default()
        },
    }
}

fn overridden(key: &str, value: &str) -> Result<Sidecar, Refusal> {
    let pod = json!({"metadata": {"annotations": {key: value, "other.example/key": "left alone"}}});
    settings().defaults.overridden_by(Pod(&pod))
}

#[test]
fn annotations_override_the_defaults() {
    let resources = |key: &str, value: &str| overridden(key, value).expect(key).resources;
    assert_eq!(resources(labels::CPU_REQUEST, "50m").requests["cpu"], "50m");
    assert_eq!(resources(labels::CPU_LIMIT, "2").limits["cpu"], "2");
    assert_eq!(resources(labels::MEMORY_REQUEST, "64Mi").requests["memory"], "64Mi");
    assert_eq!(resources(labels::MEMORY_LIMIT, "1Gi").limits["memory"], "1Gi");
    let sidecar = |key: &str, value: &str| overridden(key, value).expect(key);
    assert_eq!(sidecar(labels::LOG, "debug").log, "debug");
    assert_eq!(sidecar(labels::ACCESS_LOG, "text").access_log, "text");
    assert_eq!(sidecar(labels::SKIP_OUTBOUND_PORTS, "22,9000-9100").skip_outbound_ports, "22,9000-9100");
    assert_eq!(sidecar(labels::SKIP_INBOUND_PORTS, "9090").skip_inbound_ports, "9090");
    assert_eq!(
        sidecar(labels::SKIP_OUTBOUND_NETWORKS, "10.0.0.0/8,fd00::/8").skip_outbound_networks,
        "10.0.0.0/8,fd00::/8"
    );
    assert_eq!(sidecar(labels::WORKERS, "4").workers(), Some(4));
    assert_eq!(sidecar(labels::CONNECTIONS_MAX, "500").connections_max, Some(500));
    assert_eq!(sidecar(labels::TRACING_SAMPLING, "12.5").tracing_sampling.as_deref(), Some("12.5"));
}

#[test]
fn a_wrong_value_is_refused_with_the_annotation_and_an_example() {
    let table = [
        (labels::CPU_REQUEST, "lots", "a quantity"),
        (labels::MEMORY_LIMIT, "-1", "a quantity"),
        (labels::LOG, "info\nX=1", "a log filter"),
        (labels::LOG, "$(TULLE_ISSUER)", "a log filter"),
        (labels::ACCESS_LOG, "true", "\"json\", \"text\" or \"off\""),
        (labels::SKIP_OUTBOUND_PORTS, "0", "a list of ports"),
        (labels::SKIP_OUTBOUND_PORTS, "90-80", "a list of ports"),
        (labels::SKIP_INBOUND_PORTS, "http", "a list of ports"),
        (labels::SKIP_OUTBOUND_NETWORKS, "10.0.0.0", "a list of networks"),
        (labels::SKIP_OUTBOUND_NETWORKS, "10.0.0.0/33", "a list of networks"),
        (labels::WORKERS, "0", "a number of threads"),
        (labels::CONNECTIONS_MAX, "0", "a number of connections from 1"),
        (labels::CONNECTIONS_MAX, "+7", "a number of connections from 1"),
        (labels::TRACING_SAMPLING, "200", "a percentage from 0 to 100"),
        ("proxy.tulle.dev/image", "evil", "an annotation that this release knows"),
    ];
    for (key, value, expected) in table {
        let refusal = overridden(key, value).expect_err(key).to_string();
        assert!(refusal.contains(key) && refusal.contains(expected), "{key}={value}: {refusal}");
    }
}

#[test]
fn a_request_above_its_limit_names_the_annotation_to_set() {
    let refusal = overridden(labels::MEMORY_REQUEST, "1Gi").expect_err("limit is 256Mi").to_string();
    assert!(refusal.contains("proxy.tulle.dev/memory-limit"), "{refusal}");
}

#[test]
fn workers_follow_the_cpu_limit() {
    for (limit, expected) in [("100m", 1), ("1", 1), ("1500m", 2), ("4", 4), ("9999", 256)] {
        assert_eq!(overridden(labels::CPU_LIMIT, limit).expect(limit).workers(), Some(expected), "{limit}");
    }
    assert_eq!(settings().defaults.workers(), None, "no limit, no opinion");
}

#[test]
fn every_known_annotation_is_understood() {
    for key in labels::PROXY_ANNOTATIONS {
        let refusal = overridden(key, "\u{1}").expect_err("no annotation accepts a control character").to_string();
        assert!(!refusal.contains("this release knows"), "{key} is listed but not handled");
    }
}

#[test]
fn resources_of_the_whole_pod_leave_room_for_annotations_only() {
    let pod = json!({
        "metadata": {"annotations": {labels::CPU_LIMIT: "2"}},
        "spec": {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}}},
    });
    let resources = settings().defaults.overridden_by(Pod(&pod)).expect("nothing is wrong").resources;
    assert!(resources.requests.is_empty(), "{resources:?}");
    assert_eq!(resources.limits["cpu"], "2");
}
