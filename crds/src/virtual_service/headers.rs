//! Changes of header lines.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::later::{Rest, refuse};
use crate::schema::items;

/// What changes of a request, and of its answer.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct Headers {
    /// Changes of the request, before the destination gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderOperations>,

    /// Changes of the answer, before the caller gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderOperations>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What is removed, then set, then added. Header names may be in any case. What frames a message, belongs to one hop or is the
/// mesh's own cannot be changed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct HeaderOperations {
    /// Headers that replace those of the same name. `host` or `:authority` of a request replaces the authority.
    #[schemars(extend("maxProperties" = 32), transform = values)]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,

    /// Headers that are added to those of the same name.
    #[schemars(extend("maxProperties" = 32), transform = values)]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,

    /// Names of headers that are removed.
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)), transform = items(NAME_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A header's name (RFC 9110 §5.6.2).
const NAME_PATTERN: &str = "^[-A-Za-z0-9!#$%&'*+.^_`|~]+$";

/// Values of headers: bounded, and without line ends, so that none can become two headers.
fn values(schema: &mut Schema) {
    schema.ensure_object().insert(
        "additionalProperties".into(),
        json!({"type": "string", "maxLength": 4096, "pattern": r"^[^\r\n\x00]*$"}),
    );
}
