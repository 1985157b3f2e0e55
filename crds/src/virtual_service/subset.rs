//! Parts of a service, told apart by labels of pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{HOST_MAX, LABEL_PATTERN, host};

/// A named part of a service's endpoints.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_SUBSET))]
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

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_SUBSET: Later = &[("trafficPolicy", Shape::Object)];
