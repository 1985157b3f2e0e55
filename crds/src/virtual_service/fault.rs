//! Trouble on purpose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{DURATION_PATTERN, Rule, cel};

/// What befalls which share of the rule's requests before they leave the caller's proxy. Delay and abort are drawn independently. A delay
/// is over before the rule's timeout begins, and an abort is not retried.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(FAULT_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Requests are held up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,

    /// Requests fail, after the delay if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const FAULT_RULES: &[Rule] = &[Rule {
    holds: "has(self.delay) || has(self.abort)",
    message: "TUL3003: has neither delay nor abort; give at least one",
    field: "",
}];

/// Requests are held up.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_DELAY))]
#[serde(rename_all = "camelCase")]
pub struct Delay {
    /// How long, e.g. `5s`; at most an hour.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    pub fixed_delay: String,

    /// Share of the requests. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percent>,

    /// The same in whole percent; `percentage` is the field for it.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i64>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_DELAY: Later = &[("exponentialDelay", Shape::Text)];

/// Requests fail: exactly one of the two statuses.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_ABORT), transform = cel(ABORT_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// HTTP status. A gRPC caller gets the gRPC status it stands for.
    #[schemars(range(min = 200, max = 599))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<i64>,

    /// Name of a gRPC status, e.g. `UNAVAILABLE`. Other callers get the HTTP status it stands for.
    #[schemars(length(max = 32), regex(pattern = "^[A-Z_]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<String>,

    /// Share of the requests. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percent>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_ABORT: Later = &[("http2Error", Shape::Text)];

const ABORT_RULES: &[Rule] = &[Rule {
    holds: "has(self.httpStatus) != has(self.grpcStatus)",
    message: "TUL3001: has not exactly one of httpStatus and grpcStatus; give one of them",
    field: "",
}];

/// A share of requests.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Percent {
    /// From 0 to 100, exact to a ten-thousandth.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default)]
    pub value: f64,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}
