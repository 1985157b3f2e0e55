//! `MeshService`: what the mesh knows of one Service. The operator writes it, users read it, proxies watch it.
//!
//! Small and slow-changing on purpose: endpoints come from EndpointSlices, so a rollout touches a MeshService when its first pod is
//! there and when the last of the old ones is gone, and not for each.

mod workload;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use workload::{Workload, labels_of, workloads};

/// What the mesh knows of the Service of the same name and namespace.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "MeshService",
    doc = "What the mesh knows of the Service of the same name: ports with protocol, and who may answer for it. Written by the operator.",
    namespaced,
    status = "MeshServiceStatus",
    shortname = "msvc",
    category = "tulle",
    derive = "PartialEq",
    printcolumn(name = "Protocols", type_ = "string", json_path = ".status.protocols"),
    printcolumn(name = "Meshed", type_ = "string", json_path = ".status.meshed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MeshServiceSpec {
    /// Cluster addresses of the Service, one a family; also as labels, for lookup. Empty for a headless Service.
    #[schemars(length(max = 2), inner(length(max = 45)))]
    #[serde(default, rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,

    /// Whether the Service has no cluster address (`clusterIP: None`).
    #[serde(default)]
    pub headless: bool,

    /// Ports of the Service.
    #[schemars(length(max = 256))]
    #[serde(default)]
    pub ports: Vec<ServicePort>,

    /// SPIFFE ids that may answer for the Service, sorted. A peer with another identity is refused.
    #[schemars(length(max = 256), inner(length(max = 2048)))]
    #[serde(default)]
    pub identities: Vec<String>,

    /// Names of ready pods behind the Service that carry no proxy, sorted: spoken to in plaintext.
    #[schemars(length(max = 5000), inner(length(max = 253)))]
    #[serde(default)]
    pub outside: Vec<String>,

    /// Whether endpoints that are no pods exist by design (the `kubernetes` Service, hand-made slices): spoken to in plaintext.
    #[serde(default)]
    pub external_endpoints: bool,

    /// Labels of the pods behind the Service, sorted by `pods`, for subsets of VirtualServices.
    #[schemars(length(max = workload::ENTRIES_MAX))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
}

/// One port of a Service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Name of the port, empty where the Service names none; it is how EndpointSlices refer to it.
    #[schemars(length(max = 63))]
    #[serde(default)]
    pub name: String,

    /// Number of the Service's port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// What is spoken there.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What is spoken on a port: from `appProtocol`, else from the port name's prefix, else found out from the bytes.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112), which a client may upgrade.
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP/2 with prior knowledge (RFC 9113 §3.3).
    #[serde(rename = "HTTP2")]
    Http2,
    /// gRPC over HTTP/2.
    #[serde(rename = "GRPC")]
    Grpc,
    /// Opaque bytes.
    #[serde(rename = "TCP")]
    Tcp,
    /// TLS of the application itself, passed through.
    #[serde(rename = "TLS")]
    Tls,
    /// Not declared: found out from the first bytes. A newer operator's word also lands here.
    #[default]
    #[serde(other)]
    Detect,
}

impl Protocol {
    /// The word used in specs, status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "HTTP",
            Protocol::Http2 => "HTTP2",
            Protocol::Grpc => "GRPC",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
            Protocol::Detect => "Detect",
        }
    }

    /// Protocol of a Service port: `appProtocol` (KEP-1422 names, `kubernetes.io/…` of KEP-3726 included) wins over the
    /// port name's prefix (`http-web`, `grpc`); neither leaves it to detection.
    pub fn of_port(app_protocol: Option<&str>, name: Option<&str>) -> Protocol {
        if let Some(declared) = app_protocol.and_then(Protocol::from_word) {
            return declared;
        }
        name.and_then(|name| name.split('-').next()).and_then(Protocol::from_word).unwrap_or(Protocol::Detect)
    }

    fn from_word(word: &str) -> Option<Protocol> {
        match word.to_ascii_lowercase().as_str() {
            "http" | "ws" | "kubernetes.io/ws" => Some(Protocol::Http),
            "http2" | "h2c" | "kubernetes.io/h2c" => Some(Protocol::Http2),
            "grpc" => Some(Protocol::Grpc),
            "tcp" | "mysql" | "mongo" | "redis" | "postgres" | "postgresql" => Some(Protocol::Tcp),
            "tls" | "https" | "wss" | "kubernetes.io/wss" => Some(Protocol::Tls),
            _ => None,
        }
    }
}

impl From<Protocol> for tulle_core::snapshot::Protocol {
    fn from(protocol: Protocol) -> tulle_core::snapshot::Protocol {
        match protocol {
            Protocol::Http => tulle_core::snapshot::Protocol::Http,
            Protocol::Http2 => tulle_core::snapshot::Protocol::Http2,
            Protocol::Grpc => tulle_core::snapshot::Protocol::Grpc,
            Protocol::Tcp => tulle_core::snapshot::Protocol::Tcp,
            Protocol::Tls => tulle_core::snapshot::Protocol::Tls,
            Protocol::Detect => tulle_core::snapshot::Protocol::Detect,
        }
    }
}

/// Short strings for `kubectl get`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MeshServiceStatus {
    /// Distinct protocols in port order, e.g. `HTTP,GRPC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<String>,
    /// `Yes`, `Partly` or `No`: whether the ready pods carry proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meshed: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_protocol_wins_over_the_port_name() {
        let rows = [
            (Some("grpc"), Some("http"), Protocol::Grpc),
            (Some("kubernetes.io/h2c"), None, Protocol::Http2),
            (Some("kubernetes.io/ws"), None, Protocol::Http),
            (Some("HTTPS"), Some("http"), Protocol::Tls),
            (Some("example.com/own"), Some("http-web"), Protocol::Http),
            (None, Some("http"), Protocol::Http),
            (None, Some("http-web"), Protocol::Http),
            (None, Some("httpweb"), Protocol::Detect),
            (None, Some("tcp-db"), Protocol::Tcp),
            (None, Some("web"), Protocol::Detect),
            (None, None, Protocol::Detect),
        ];
        for (app_protocol, name, want) in rows {
            assert_eq!(Protocol::of_port(app_protocol, name), want, "{app_protocol:?} {name:?}");
        }
    }

    #[test]
    fn words_survive_json_and_unknown_ones_mean_detection() {
        for protocol in
            [Protocol::Http, Protocol::Http2, Protocol::Grpc, Protocol::Tcp, Protocol::Tls, Protocol::Detect]
        {
            let json = serde_json::to_string(&protocol).unwrap();
            assert_eq!(json, format!("{:?}", protocol.as_str()));
            assert_eq!(serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
        }
        assert_eq!(serde_json::from_str::<Protocol>("\"QUIC\"").unwrap(), Protocol::Detect);
    }
}
