//! Another path or authority for the destination.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, Rule, cel};

/// What the destination is asked instead of what the caller asked. The query stays.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(REWRITE_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Rewrite {
    /// Path instead of the prefix that the request's `match` has; instead of the whole path where it has `exact` or `regex`; in
    /// front of it where it asks for no path. A slash at the end of the prefix is kept, and the result is in normal form.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/[^?#]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,

    /// Authority (`Host`).
    #[schemars(length(min = 1, max = HOST_MAX))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,

    /// A regular expression, every occurrence of which in the path is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri_regex_rewrite: Option<RegexRewrite>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const REWRITE_RULES: &[Rule] = &[
    Rule {
        holds: "has(self.uri) || has(self.authority) || has(self.uriRegexRewrite)",
        message: "TUL3003: rewrites nothing; give uri, uriRegexRewrite or authority",
        field: "",
    },
    Rule {
        holds: "!(has(self.uri) && has(self.uriRegexRewrite))",
        message: "TUL3001: has both uri and uriRegexRewrite; give one of them",
        field: "",
    },
];

/// A regular expression and what takes the place of what it fits.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct RegexRewrite {
    /// A regular expression in RE2 syntax. It need not fit the whole path.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: String,

    /// What takes its place; `\1` to `\9` are what its groups fitted, `\0` is all of it.
    #[schemars(length(max = 1024))]
    pub rewrite: String,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}
