//! What a rule does to requests and answers on the way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CorsPolicy, Destination, Fault, Headers, Percent, Rewrite};
use crate::later::{Rest, refuse};
use crate::schema::DURATION_PATTERN;

/// The part of a rule that is about neither its conditions nor its destinations. Its fields stand in the rule itself.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
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

    /// Services that receive copies of what is forwarded. Their answers are dropped.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,

    /// One service that receives copies; `mirrors` is the field for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Destination>,

    /// Share of the requests that `mirror` receives. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_percentage: Option<Percent>,

    /// The same in whole percent; `mirrorPercentage` is the field for it.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_percent: Option<i64>,
}

/// A service that receives copies of a share of the requests.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// Where copies go.
    pub destination: Destination,

    /// Share of the requests, drawn for each mirror. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percent>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

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
