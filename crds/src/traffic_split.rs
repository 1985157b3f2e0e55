//! `TrafficSplit`: which share of a service's traffic each backend receives. A superset of the SMI kind of that name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{HOST_MAX, Rule, cel, host, keyed_by};

/// Shares of one service's traffic.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "TrafficSplit",
    doc = "Which share of a service's traffic each backend receives. Edit the weights to move a canary.",
    namespaced,
    status = "TrafficSplitStatus",
    shortname = "tsplit",
    category = "mesh",
    category = "tulle",
    derive = "PartialEq",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Weights", type_ = "string", json_path = ".status.weights"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".status.observedGeneration", priority = 1),
    printcolumn(name = "Winner", type_ = "string", json_path = ".status.winner", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[schemars(transform = refuse(LATER_SPEC), transform = cel(SPEC_RULES))]
#[serde(rename_all = "camelCase")]
pub struct TrafficSplitSpec {
    /// The service clients call (the apex): a name of this namespace, short or as full DNS name.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub service: String,

    /// Who answers, with which share. The apex itself may be listed: its own endpoints, not split again.
    #[schemars(length(min = 1, max = 16), transform = keyed_by("service"))]
    pub backends: Vec<Backend>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const SPEC_RULES: &[Rule] = &[Rule {
    holds: "self.backends.exists(b, b.weight > 0)",
    message: "TUL3009: all weights are 0; give at least one entry a weight above 0",
    field: ".backends",
}];

const LATER_SPEC: Later = &[("matches", Shape::Objects)];

/// One backend.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// A service of this namespace, short or as full DNS name.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub service: String,

    /// Share: weight / sum of weights. The sum need not be 100; 0 receives nothing.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i64,

    /// Fields unknown to this release.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// What the operator found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TrafficSplitStatus {
    /// Generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and their summary Ready.
    #[schemars(transform = keyed_by("type"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Weights in the order of the backends, e.g. `90/10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Each backend as resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendStatus>,
    /// The older split of the same service that is in force instead, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
}

/// One backend as resolved.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The service, as in the spec.
    pub service: String,
    /// The weight, as in the spec.
    pub weight: i64,
    /// Share in percent that the backend receives, rounded to whole numbers; 0 while its share is held by the others.
    pub effective_percent: i64,
    /// Ready endpoints of the service.
    pub ready_endpoints: i64,
}
