//! Where a rule sends requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Headers;
use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, LABEL_PATTERN, host};

/// A destination with its share.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct RouteDestination {
    /// Where requests go.
    pub destination: Destination,

    /// Share among the destinations of this rule: weight / sum of weights. 0 receives nothing. A single destination without
    /// weight receives everything.
    #[schemars(range(min = 0, max = 1_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,

    /// Changes of header lines of what goes this way, before those of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A destination of bytes with its share.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct WeightedDestination {
    /// Where connections go.
    pub destination: Destination,

    /// Share among the destinations of this rule: weight / sum of weights. 0 receives nothing. A single destination without
    /// weight receives everything.
    #[schemars(range(min = 0, max = 1_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A service, and which of its ports and pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// A service of this object's namespace: short name, `name.namespace`, or the full DNS name. Where all `hosts` are of other
    /// namespaces, also a service of theirs.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub host: String,

    /// One of the object's `subsets`: only the endpoints of that service whose pods have its labels, and no TrafficSplit on the service.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,

    /// Port of that service. Absent: the port the client dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortSelector>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A port by number.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PortSelector {
    /// Number of the Service's port.
    #[schemars(range(min = 1, max = 65535))]
    pub number: i64,
}
