//! Pages of other origins that may call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StringMatch;
use crate::later::{Rest, refuse};
use crate::schema::{DURATION_PATTERN, items, one_of};

/// Cross-origin resource sharing, answered by the caller's proxy for the application.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct CorsPolicy {
    /// Origins that may call, any of which fits. `exact: "*"` is every origin. Absent: none.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<StringMatch>,

    /// The same as exact strings; `allowOrigins` is the field for it, and where both are given the only one that counts.
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origin: Vec<String>,

    /// Methods that may be called, told in answers to preflights.
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)), transform = items(TOKEN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,

    /// Headers that calls may bring, told in answers to preflights.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), transform = items(TOKEN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,

    /// Headers of answers that pages may read.
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), transform = items(TOKEN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,

    /// How long a browser may keep the answer to a preflight, e.g. `24h`.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,

    /// Whether calls may carry credentials.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,

    /// What becomes of a preflight whose origin may not call: `FORWARD`: the application gets it; `IGNORE`: it is answered with 200
    /// and without permission. Absent: `FORWARD`.
    #[schemars(transform = one_of(UNMATCHED))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched_preflights: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A method, the name of a header, or `*`.
const TOKEN: &str = "^[-A-Za-z0-9!#$%&'*+.^_`|~]+$";
const UNMATCHED: &[&str] = &["UNSPECIFIED", "FORWARD", "IGNORE"];
