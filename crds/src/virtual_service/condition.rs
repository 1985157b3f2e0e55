//! Conditions on a request.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
use crate::schema::{Rule, cel};

/// One condition on a request; every field given must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(MATCH_RULES))]
#[serde(rename_all = "camelCase")]
pub struct HttpMatch {
    /// A name for logs.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The path without query, in normal form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<StringMatch>,

    /// Compare `uri` without regard to ASCII case; for `exact` and `prefix`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_uri_case: bool,

    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<StringMatch>,

    /// The method, e.g. `exact: GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,

    /// The authority (`Host`), as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<StringMatch>,

    /// Headers by lower-case name. An empty condition (`{}`) asks for presence. A repeated header fits if any value does.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,

    /// Headers that must not fit, same form.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without_headers: BTreeMap<String, StringMatch>,

    /// Query parameters by name, same form.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, StringMatch>,

    /// The port the client dialled.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,

    /// Labels the pod of the caller has; others may be there as well.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_labels: BTreeMap<String, String>,

    /// Namespace of the caller.
    #[schemars(length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_namespace: Option<String>,

    /// Which gateways the condition is for: `mesh` is every sidecar. A condition for others only holds for no request in the mesh.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,

    /// Taken for compatibility. Metrics and logs name the rule.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat_prefix: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const MATCH_RULES: &[Rule] = &[
    Rule {
        holds: "!has(self.uri) || has(self.uri.exact) || has(self.uri.prefix) || has(self.uri.regex)",
        message: "TUL3003: has none of exact, prefix and regex; give exactly one",
        field: ".uri",
    },
    Rule {
        holds: "!has(self.scheme) || has(self.scheme.exact) || has(self.scheme.prefix) || has(self.scheme.regex)",
        message: "TUL3003: has none of exact, prefix and regex; give exactly one",
        field: ".scheme",
    },
    Rule {
        holds: "!has(self.method) || has(self.method.exact) || has(self.method.prefix) || has(self.method.regex)",
        message: "TUL3003: has none of exact, prefix and regex; give exactly one",
        field: ".method",
    },
    Rule {
        holds: "!has(self.authority) || has(self.authority.exact) || has(self.authority.prefix) || has(self.authority.regex)",
        message: "TUL3003: has none of exact, prefix and regex; give exactly one",
        field: ".authority",
    },
];

const STRING_RULES: &[Rule] = &[Rule {
    holds: "!(has(self.exact) && has(self.prefix)) && !(has(self.exact) && has(self.regex)) && !(has(self.prefix) && has(self.regex))",
    message: "TUL3001: has more than one of exact, prefix and regex; give exactly one",
    field: "",
}];

/// One way to compare a string: exactly one of the three. All absent asks for presence, where a presence can be asked for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = cel(STRING_RULES))]
#[serde(rename_all = "camelCase")]
pub struct StringMatch {
    /// The whole value.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,

    /// The start of the value.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,

    /// A regular expression in RE2 syntax that fits the whole value.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}
