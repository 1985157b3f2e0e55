//! What every cluster has besides its components: DNS behind the usual Service.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Addresses, Cluster};
use crate::images::SystemImages;
use crate::{command, wait};

/// CoreDNS starts in two seconds on an idle machine.
const DNS_DEADLINE: Duration = Duration::from_secs(90);

/// Names outside the cluster fail at once rather than after a time-out: there is no way out of a cluster. The TTL is short because tests delete and make Services of the same name.
const COREFILE: &str = ".:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 2
    }
    cache 2
}
";

/// Creates the add-ons; they start while the nodes become Ready. Without validation on this side: the first OpenAPI
/// document of a young API server takes it two seconds, and nothing else at start-up needs one.
pub(super) fn create(cluster: &Cluster, images: &SystemImages) -> Result<()> {
    let manifests = manifests(cluster.addresses(), images.dns()).to_string();
    let mut kubectl = cluster.kubectl().command();
    command::run_with_input(kubectl.args(["create", "--validate=false", "-f", "-"]), &manifests)
        .map(drop)
        .context("cannot install cluster DNS")
}

/// Waits until DNS has an endpoint.
pub(super) fn wait_for_dns(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl().namespaced("kube-system");
    wait::until(DNS_DEADLINE, "cluster DNS to be ready", || {
        let deployment = kubectl.get("deployment/coredns")?;
        Ok(deployment["status"]["readyReplicas"].as_u64().filter(|ready| *ready > 0))
    })
    .map(drop)
}

fn manifests(addresses: Addresses, image: &str) -> Value {
    let metadata = |name: &str| json!({"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}});
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("coredns")},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("coredns"), "data": {"Corefile": COREFILE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": metadata("kube-dns"),
            "spec": {
                "selector": {"k8s-app": "kube-dns"},
                "clusterIP": addresses.dns(),
                "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
            },
        },
        deployment(&metadata("coredns"), image),
    ]})
}

fn deployment(metadata: &Value, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "kube-dns"}},
                "spec": {
                    "serviceAccountName": "coredns",
                    "dnsPolicy": "Default",
                    "priorityClassName": "system-cluster-critical",
                    "containers": [{
                        "name": "coredns",
                        "image": image,
                        "imagePullPolicy": "Never",
                        "args": ["-conf", "/etc/coredns/Corefile"],
                        "ports": [
                            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
                        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
                    }],
                    "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_has_the_address_that_pods_are_told() {
        let list = manifests(Addresses::new(0), "localhost/coredns:1");
        let items = list["items"].as_array().expect("items");
        let service = items.iter().find(|item| item["kind"] == "Service").expect("a Service");
        assert_eq!(service["spec"]["clusterIP"], "198.19.0.10");
        let deployment = items.iter().find(|item| item["kind"] == "Deployment").expect("a Deployment");
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], "localhost/coredns:1");
    }
}
