//! One row for each pod that cannot work, and its harmless neighbour.

use super::*;
use crate::inject::OptIn;
use serde_json::json;

const ORIGIN: Origin = Origin { opt_in: OptIn::Namespace, confined: false };

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn pods_that_cannot_work_are_refused() {
    let table = [
        (json!({"hostNetwork": true}), Code::InjectHostNetwork),
        (json!({"os": {"name": "windows"}}), Code::InjectWindows),
        (json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), Code::InjectWindows),
        (json!({"securityContext": {"runAsUser": 1337}}), Code::InjectProxyUser),
        (json!({"securityContext": {"runAsGroup": 1337}}), Code::InjectProxyUser),
        (json!({"containers": [{"name": "a", "securityContext": {"runAsUser": 1337}}]}), Code::InjectProxyUser),
        (json!({"initContainers": [{"name": "a", "securityContext": {"runAsGroup": 1337}}]}), Code::InjectProxyUser),
        (json!({"containers": [{"name": "a", "ports": [{"containerPort": 15001}]}]}), Code::InjectOwnPort),
        (json!({"containers": [{"name": "a", "livenessProbe": {"tcpSocket": {"port": 15000}}}]}), Code::InjectOwnPort),
        (json!({"containers": [{"name": "tulle-proxy"}]}), Code::InjectReservedName),
        (json!({"initContainers": [{"name": "tulle-redirect"}]}), Code::InjectReservedName),
        (json!({"volumes": [{"name": "tulle-identity"}]}), Code::InjectReservedName),
    ];
    for (spec, code) in table {
        let refusal = obstacle(Pod(&pod(spec.clone())), ORIGIN);
        assert_eq!(refusal.map(|refusal| refusal.code), Some(code), "{spec}");
    }
}

#[test]
fn their_neighbours_are_not() {
    let table = [
        json!({}),
        json!({"hostNetwork": false}),
        json!({"os": {"name": "linux"}}),
        json!({"securityContext": {"runAsUser": 1338, "fsGroup": 1337}}),
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 15001, "protocol": "UDP"}, {"containerPort": 15002}]}]}),
        json!({"containers": [{"name": "a", "livenessProbe": {"exec": {"command": ["true"]}}}]}),
    ];
    for spec in table {
        assert_eq!(obstacle(Pod(&pod(spec.clone())), ORIGIN), None, "{spec}");
    }
}

#[test]
fn pod_security_is_told_by_the_path() {
    let confined = Origin { confined: true, ..ORIGIN };
    let refusal = obstacle(Pod(&pod(json!({}))), confined).expect("NET_ADMIN would be refused");
    assert_eq!(refusal.code, Code::InjectPodSecurity);
    assert!(refusal.to_string().contains("NET_ADMIN"), "{refusal}");
}

#[test]
fn a_refusal_says_where_and_what_to_do() {
    let spec = json!({"containers": [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 1337}}]});
    let sentence = obstacle(Pod(&pod(spec)), ORIGIN).expect("user of the proxy").to_string();
    assert!(sentence.starts_with("TUL1"), "{sentence}");
    assert!(sentence.contains("spec.containers[1].securityContext.runAsUser is 1337"), "{sentence}");
}

#[test]
fn a_debug_container_may_not_be_the_proxy() {
    let debug = |context: Value| {
        let spec = json!({"ephemeralContainers": [{"name": "a"}, {"name": "b", "securityContext": context}]});
        ephemeral_obstacle(Pod(&pod(spec))).map(|refusal| refusal.to_string())
    };
    assert_eq!(debug(json!({"runAsUser": 0})), None);
    let sentence = debug(json!({"runAsGroup": 1337})).expect("group of the proxy");
    assert!(sentence.contains("spec.ephemeralContainers[1].securityContext.runAsGroup is 1337"), "{sentence}");
}
