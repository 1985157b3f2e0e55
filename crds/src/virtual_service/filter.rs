//! What a rule does to requests and answers on the way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CorsPolicy, Fault, Headers, Rewrite};
use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::DURATION_PATTERN;

/// The part of a rule that is about neither its conditions nor its destinations. Its fields stand in the rule itself.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_FILTERS))]
#[serde(rename_all = "camelCase")]
pub struct Filters {
    /// Limit for the whole answer, retries included, e.g. `10s`. Absent or `0s`: no limit.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,

    /// When and how often a failed attempt is repeated. Absent: never by this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,

    /// What the destination is asked instead of what the caller asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,

    /// Changes of header lines, after those of the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,

    /// Trouble on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,

    /// Pages of other origins that may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors_policy: Option<CorsPolicy>,
}

const LATER_FILTERS: Later = &[
    ("mirror", Shape::Object),
    ("mirrors", Shape::Objects),
    ("mirrorPercent", Shape::Integer),
    ("mirrorPercentage", Shape::Object),
];

/// Repetition of failed attempts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Attempts after the first. 0 or absent switches retries off.
    #[schemars(range(min = 0, max = 10))]
    #[serde(default)]
    pub attempts: i64,

    /// Limit for each attempt, e.g. `2s`. Absent: the rule's timeout.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,

    /// What counts as a failure, comma-separated: `5xx`, `gateway-error`, `reset`, `connect-failure`, `refused-stream`,
    /// `reset-before-request`, `retriable-4xx`, `retriable-status-codes`, `cancelled`, `deadline-exceeded`, `resource-exhausted`, `unavailable`, `internal`, or status codes.
    /// Absent: `connect-failure,refused-stream,unavailable,cancelled`.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,

    /// Whether an attempt may go to another locality than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_remote_localities: Option<bool>,

    /// Whether an attempt goes to another endpoint than those before, as long as there is one. Absent: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ignore_previous_hosts: Option<bool>,

    /// Pause before the first repetition, doubled before each further one, e.g. `25ms`.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}
