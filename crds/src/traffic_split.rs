//! `TrafficSplit`: which share of a service's traffic each backend receives. A superset of the SMI kind of that name.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
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
#[schemars(transform = refuse(&[]), transform = cel(SPEC_RULES))]
#[serde(rename_all = "camelCase")]
pub struct TrafficSplitSpec {
    /// The service clients call (the apex): a name of this namespace, short or as full DNS name.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub service: String,

    /// Who answers, with which share. The apex itself may be listed: its own endpoints, not split again.
    #[schemars(length(min = 1, max = 16), transform = keyed_by("service"))]
    pub backends: Vec<Backend>,

    /// Which requests are split, any of which is enough; the others go to the service itself. Absent: all requests, and bytes as well.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<SplitMatch>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A condition on requests, in the form of SMI's HTTPRouteGroup; every field given must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(MATCH_RULES))]
#[serde(rename_all = "camelCase")]
pub struct SplitMatch {
    /// A name for people.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// A regular expression in RE2 syntax that fits the start of the path.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,

    /// Methods, any of which is enough; `*` is every method.
    #[schemars(length(max = 16), inner(length(min = 1, max = 32)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,

    /// Headers by lower-case name, each with a regular expression that fits the whole value. A repeated header fits if any value does.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const MATCH_RULES: &[Rule] = &[Rule {
    holds: "has(self.pathRegex) || has(self.methods) || has(self.headers)",
    message: "TUL3003: has none of pathRegex, methods and headers; give at least one, or remove the condition",
    field: "",
}];

const SPEC_RULES: &[Rule] = &[Rule {
    holds: "self.backends.exists(b, b.weight > 0)",
    message: "TUL3009: all weights are 0; give at least one entry a weight above 0",
    field: ".backends",
}];

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
