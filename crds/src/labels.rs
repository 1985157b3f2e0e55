//! Every label, annotation and field manager of the mesh, and how an address becomes a label.
//!
//! Addresses are labels because the API server can select by label only: a proxy that meets an unknown address finds
//! its [`MeshService`](crate::MeshService) or [`MeshEndpoint`](crate::MeshEndpoint) with one filtered list.

use std::net::{IpAddr, Ipv6Addr};

/// On a namespace or a pod: [`INJECT_ENABLED`] or [`INJECT_DISABLED`]. The pod's own label wins.
pub const INJECT_LABEL: &str = "tulle.dev/inject";
/// Value of [`INJECT_LABEL`] that asks for a sidecar.
pub const INJECT_ENABLED: &str = "enabled";
/// Value of [`INJECT_LABEL`] that declines one.
pub const INJECT_DISABLED: &str = "disabled";

/// Set by the webhook on every pod that carries a proxy, value [`INJECTED_VALUE`].
pub const INJECTED_LABEL: &str = "tulle.dev/injected";
/// The one value of [`INJECTED_LABEL`].
pub const INJECTED_VALUE: &str = "true";

/// Pod annotation set by the webhook: the release that injected the proxy.
pub const INJECTOR_VERSION: &str = "tulle.dev/injector-version";

/// On operator-owned objects: the Service they belong to.
pub const SERVICE_LABEL: &str = "tulle.dev/service";
/// On a MeshService: the Service's IPv4 cluster address.
pub const CLUSTER_IP_LABEL: &str = "tulle.dev/cluster-ip";
/// On a MeshService: the Service's IPv6 cluster address, in the form of [`ip_label`].
pub const CLUSTER_IP_V6_LABEL: &str = "tulle.dev/cluster-ip-v6";
/// On a MeshEndpoint: the pod's IPv4 address.
pub const POD_IP_LABEL: &str = "tulle.dev/pod-ip";
/// On a MeshEndpoint: the pod's IPv6 address, in the form of [`ip_label`].
pub const POD_IP_V6_LABEL: &str = "tulle.dev/pod-ip-v6";

/// On pods, by their controller: the revision of their template. It changes pod by pod during a rollout of a StatefulSet or DaemonSet,
/// so it is left out of what a MeshService says of pods.
pub const UNPUBLISHED_LABEL: &str = "controller-revision-hash";

/// Field manager of everything the operator applies, spec and status.
pub const OPERATOR_FIELD_MANAGER: &str = "tulle-operator";

/// Value of `app.kubernetes.io/managed-by` on operator-owned objects.
pub const MANAGED_BY: &str = "tulle-operator";
/// The well-known label that names the tool which manages an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Pod annotation: CPU request of the proxy, a Kubernetes quantity.
pub const CPU_REQUEST: &str = "proxy.tulle.dev/cpu-request";
/// Pod annotation: CPU limit of the proxy, a Kubernetes quantity.
pub const CPU_LIMIT: &str = "proxy.tulle.dev/cpu-limit";
/// Pod annotation: memory request of the proxy, a Kubernetes quantity.
pub const MEMORY_REQUEST: &str = "proxy.tulle.dev/memory-request";
/// Pod annotation: memory limit of the proxy, a Kubernetes quantity.
pub const MEMORY_LIMIT: &str = "proxy.tulle.dev/memory-limit";
/// Pod annotation: log filter of the proxy.
pub const LOG: &str = "proxy.tulle.dev/log";
/// Pod annotation: `json`, `text` or `off`.
pub const ACCESS_LOG: &str = "proxy.tulle.dev/access-log";
/// Pod annotation: outbound destination ports left alone, `22,9000-9100`.
pub const SKIP_OUTBOUND_PORTS: &str = "proxy.tulle.dev/skip-outbound-ports";
/// Pod annotation: inbound ports left alone, `22,9000-9100`.
pub const SKIP_INBOUND_PORTS: &str = "proxy.tulle.dev/skip-inbound-ports";
/// Pod annotation: outbound destination networks left alone, comma-separated CIDRs.
pub const SKIP_OUTBOUND_NETWORKS: &str = "proxy.tulle.dev/skip-outbound-networks";
/// Pod annotation: number of data threads.
pub const WORKERS: &str = "proxy.tulle.dev/workers";
/// Pod annotation: longest life of a connection that other pods opened, `30m` or `off`.
pub const CONNECTION_MAX_AGE: &str = "proxy.tulle.dev/connection-max-age";
/// Pod annotation: connections each direction of the proxy may have at once.
pub const CONNECTIONS_MAX: &str = "proxy.tulle.dev/connections-max";
/// Pod annotation: share in percent of the traces that begin at the pod's proxy and are recorded, where spans are collected.
pub const TRACING_SAMPLING: &str = "proxy.tulle.dev/tracing-sampling";

/// Every annotation a pod may carry to change its proxy; any other key under `proxy.tulle.dev/` is a mistake to report.
pub const PROXY_ANNOTATIONS: [&str; 13] = [
    CPU_REQUEST,
    CPU_LIMIT,
    MEMORY_REQUEST,
    MEMORY_LIMIT,
    LOG,
    ACCESS_LOG,
    SKIP_OUTBOUND_PORTS,
    SKIP_INBOUND_PORTS,
    SKIP_OUTBOUND_NETWORKS,
    WORKERS,
    CONNECTION_MAX_AGE,
    CONNECTIONS_MAX,
    TRACING_SAMPLING,
];
/// Common start of [`PROXY_ANNOTATIONS`].
pub const PROXY_ANNOTATION_PREFIX: &str = "proxy.tulle.dev/";

/// Whose address a label names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Cluster address of a Service, on a MeshService.
    ClusterIp,
    /// Address of a pod, on a MeshEndpoint.
    PodIp,
}

/// The label key and value under which an address is found.
///
/// IPv4 keeps its dotted form. IPv6 has colons, which label values may not contain (Kubernetes label syntax), so it becomes
/// eight hextets of four digits joined by `-`: one spelling an address. IPv4-mapped IPv6 counts as IPv4.
pub fn ip_label(address: IpAddr, kind: AddressKind) -> (&'static str, String) {
    match (address.to_canonical(), kind) {
        (IpAddr::V4(v4), AddressKind::ClusterIp) => (CLUSTER_IP_LABEL, v4.to_string()),
        (IpAddr::V4(v4), AddressKind::PodIp) => (POD_IP_LABEL, v4.to_string()),
        (IpAddr::V6(v6), AddressKind::ClusterIp) => (CLUSTER_IP_V6_LABEL, expanded(v6)),
        (IpAddr::V6(v6), AddressKind::PodIp) => (POD_IP_V6_LABEL, expanded(v6)),
    }
}

fn expanded(v6: Ipv6Addr) -> String {
    v6.segments().map(|hextet| format!("{hextet:04x}")).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let rows = [
            ("10.96.0.1", AddressKind::ClusterIp, CLUSTER_IP_LABEL, "10.96.0.1"),
            ("::ffff:10.96.0.1", AddressKind::ClusterIp, CLUSTER_IP_LABEL, "10.96.0.1"),
            ("10.0.0.7", AddressKind::PodIp, POD_IP_LABEL, "10.0.0.7"),
            ("fd00::1", AddressKind::ClusterIp, CLUSTER_IP_V6_LABEL, "fd00-0000-0000-0000-0000-0000-0000-0001"),
            ("2001:db8::A", AddressKind::PodIp, POD_IP_V6_LABEL, "2001-0db8-0000-0000-0000-0000-0000-000a"),
        ];
        for (address, kind, key, value) in rows {
            assert_eq!(ip_label(address.parse().unwrap(), kind), (key, value.to_string()), "{address}");
            assert!(value.len() <= 63, "label values hold at most 63 characters");
        }
    }
}
