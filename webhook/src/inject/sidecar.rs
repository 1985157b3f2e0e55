//! What is put into a pod: the redirect, the proxy, and the volumes of the proxy.

use super::pod::Pod;
use super::settings::{Settings, Sidecar};
use super::workload::workload;
use serde_json::{Value, json};
use tulle_core::sidecar::{self, DEFAULT_CLUSTER_DOMAIN, ProbeTable, env};

/// Read permission for everybody. The kubelet owns projected files as root; only when all containers share one user or
/// the pod has an `fsGroup` does it choose owner or group by itself (kubelet `projected.go`, `FsUserFrom`). Redirect
/// and proxy never share one. Only the proxy mounts these volumes.
const FILE_MODE: u32 = 0o644;

/// The init container that programs the redirect. It runs once, as root, with one capability.
pub fn redirect_container(settings: &Settings, sidecar: &Sidecar) -> Value {
    json!({
        "name": sidecar::REDIRECT_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["redirect"],
        "env": skip_lists(sidecar).into_iter().chain([variable(env::LOG, &sidecar.log)]).collect::<Vec<_>>(),
        "resources": sidecar.resources,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    })
}

/// The proxy as a native sidecar (KEP-753): started before the containers of the pod, stopped after them.
pub fn proxy_container(pod: Pod<'_>, settings: &Settings, sidecar: &Sidecar, probes: &ProbeTable) -> Value {
    let health = |path: &str| json!({"path": path, "port": sidecar::HEALTH_PORT});
    json!({
        "name": sidecar::PROXY_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["run"],
        "restartPolicy": "Always",
        "env": environment(pod, settings, sidecar, probes),
        "ports": [{"name": "tulle-health", "containerPort": sidecar::HEALTH_PORT, "protocol": "TCP"}],
        "resources": sidecar.resources,
        // The pod's containers start when this has succeeded once. A proxy may wait ten minutes for the control plane:
        // a pod that waits is better than one that restarts for ever.
        "startupProbe": {"httpGet": health("/ready"), "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 600},
        // No readiness probe: once started the proxy serves whatever it last knew, and a cause that all proxies share
        // would otherwise take every pod of the mesh out of service at once. Liveness is for a wedged process only; a
        // minute is more than any throttled but healthy proxy needs to answer.
        "livenessProbe": {"httpGet": health("/live"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "securityContext": {
            "runAsUser": sidecar::PROXY_UID,
            "runAsGroup": sidecar::PROXY_UID,
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": sidecar::API_VOLUME, "mountPath": sidecar::API_DIR, "readOnly": true},
            {"name": sidecar::IDENTITY_VOLUME, "mountPath": sidecar::IDENTITY_DIR, "readOnly": true},
            {"name": sidecar::POD_VOLUME, "mountPath": sidecar::POD_DIR, "readOnly": true},
        ],
    })
}

/// The proxy's volumes. They are its own, so `automountServiceAccountToken: false` changes nothing for it.
pub fn volumes() -> [Value; 3] {
    let api_token = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": sidecar::API_TOKEN_SECONDS}});
    let cluster_root =
        json!({"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}});
    let identity_token = json!({"serviceAccountToken": {
        "path": "token",
        "audience": sidecar::IDENTITY_AUDIENCE,
        "expirationSeconds": sidecar::IDENTITY_TOKEN_SECONDS,
    }});
    let labels = json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}});
    [
        projected(sidecar::API_VOLUME, json!([api_token, cluster_root])),
        projected(sidecar::IDENTITY_VOLUME, json!([identity_token])),
        json!({"name": sidecar::POD_VOLUME, "downwardAPI": {"defaultMode": FILE_MODE, "items": [labels]}}),
    ]
}

fn projected(name: &str, sources: Value) -> Value {
    json!({"name": name, "projected": {"defaultMode": FILE_MODE, "sources": sources}})
}

fn environment(pod: Pod<'_>, settings: &Settings, sidecar: &Sidecar, probes: &ProbeTable) -> Vec<Value> {
    let mut variables = vec![
        from_pod(env::POD_NAME, "metadata.name"),
        from_pod(env::POD_NAMESPACE, "metadata.namespace"),
        from_pod(env::POD_IPS, "status.podIPs"),
        from_pod(env::SERVICE_ACCOUNT, "spec.serviceAccountName"),
        variable(env::WORKLOAD, workload(pod)),
        variable(env::SYSTEM_NAMESPACE, &settings.system_namespace),
        variable(env::TRUST_DOMAIN, settings.trust_domain.to_string()),
        variable(env::ISSUER, &settings.issuer),
        variable(env::DEFAULT_MTLS, settings.default_mtls.as_str()),
        variable(env::LOG, &sidecar.log),
        variable(env::ACCESS_LOG, if sidecar.access_log.is_empty() { "off" } else { &sidecar.access_log }),
    ];
    variables.extend(sidecar.workers().map(|workers| variable(env::WORKERS, workers.to_string())));
    variables.extend(sidecar.connection_max_age.as_ref().map(|age| variable(env::CONNECTION_AGE_MAX, age)));
    variables.extend(sidecar.connections_max.map(|most| variable(env::CONNECTIONS_MAX, most.to_string())));
    variables.extend(skip_lists(sidecar));
    if !settings.tracing_endpoint.is_empty() {
        variables.push(variable(env::TRACING_ENDPOINT, &settings.tracing_endpoint));
        variables.extend(sidecar.tracing_sampling.as_ref().map(|share| variable(env::TRACING_SAMPLING, share)));
    }
    if settings.cluster_domain != DEFAULT_CLUSTER_DOMAIN {
        variables.push(variable(env::CLUSTER_DOMAIN, &settings.cluster_domain));
    }
    if !settings.cluster_networks.is_empty() {
        variables.push(variable(env::CLUSTER_NETWORKS, &settings.cluster_networks));
    }
    if !probes.is_empty() {
        let table = serde_json::to_string(probes).expect("string keys and plain values always serialise");
        variables.push(variable(env::PROBES, table));
    }
    variables
}

/// Both containers need these: the redirect programs them, the proxy proves and reports them.
fn skip_lists(sidecar: &Sidecar) -> Vec<Value> {
    [
        (env::SKIP_OUTBOUND_PORTS, &sidecar.skip_outbound_ports),
        (env::SKIP_INBOUND_PORTS, &sidecar.skip_inbound_ports),
        (env::SKIP_OUTBOUND_NETWORKS, &sidecar.skip_outbound_networks),
    ]
    .into_iter()
    .filter(|(_, list)| !list.is_empty())
    .map(|(name, list)| variable(name, list))
    .collect()
}

/// A literal value. `$` is doubled: the kubelet expands `$(NAME)` in values (core/v1 EnvVar), and probe paths come from
/// the user.
fn variable(name: &str, value: impl AsRef<str>) -> Value {
    json!({"name": name, "value": value.as_ref().replace('$', "$$")})
}

fn from_pod(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}
