//! `MeshEndpoint`: one meshed pod, so that a proxy which dials a pod address knows who must answer there.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pod of the same name and namespace, which carries a proxy.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "MeshEndpoint",
    doc = "One pod of the mesh: its addresses and the identity that answers there. Written by the operator, removed with the pod.",
    namespaced,
    shortname = "mep",
    category = "tulle",
    derive = "PartialEq",
    printcolumn(name = "Identity", type_ = "string", json_path = ".spec.identity"),
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.node"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MeshEndpointSpec {
    /// Addresses of the pod, one a family; also as labels, for lookup.
    #[schemars(length(max = 2), inner(length(max = 45)))]
    #[serde(default)]
    pub ips: Vec<String>,

    /// SPIFFE id of the pod.
    #[schemars(length(max = 2048))]
    #[serde(default)]
    pub identity: String,

    /// Node the pod runs on.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}
