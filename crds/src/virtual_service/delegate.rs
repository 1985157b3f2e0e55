//! Another VirtualService whose rules decide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, host};

/// A VirtualService without `hosts`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Delegate {
    /// Its name.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub name: String,

    /// Its namespace. Absent: this one. It must be exported to this one.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}
