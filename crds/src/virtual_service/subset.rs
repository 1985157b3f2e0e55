//! Parts of a service, told apart by labels of pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrafficPolicy;
use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, LABEL_PATTERN, host};

/// A named part of a service's endpoints.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// How destinations of this object name it.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    pub name: String,

    /// The service it is a part of. Absent: of each whose destination names it.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// Labels a pod must have to be part of it; others may be there as well. Absent: every endpoint.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// How calls to it are made. A field that is absent here is taken from the object's own `trafficPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}
