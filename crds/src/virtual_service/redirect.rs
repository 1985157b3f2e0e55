//! Answers that a rule gives itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, Rule, cel, one_of};

/// An answer that sends the caller elsewhere. What is not given stays as the caller asked.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(REDIRECT_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// Path instead of the whole path, with a query or without; without, the request's query stays.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,

    /// Path instead of the prefix that each `match` of the rule must have.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_rewrite: Option<String>,

    /// Host, with a port or without.
    #[schemars(length(min = 1, max = HOST_MAX))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,

    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,

    /// Where the port comes from: `FROM_PROTOCOL_DEFAULT`: the scheme's own; `FROM_REQUEST_PORT`: the one the client dialled.
    /// Absent: that of the authority, unless it was the own port of a scheme that changes.
    #[schemars(transform = one_of(DERIVE_PORT))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive_port: Option<String>,

    /// `http` or `https`.
    #[schemars(transform = one_of(&["http", "https"]))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,

    /// 301, 302, 303, 307 or 308. Absent: 301.
    #[schemars(range(min = 301, max = 308))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_code: Option<i64>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const DERIVE_PORT: &[&str] = &["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"];

const REDIRECT_RULES: &[Rule] = &[
    Rule {
        holds: "!(has(self.uri) && has(self.prefixRewrite))",
        message: "TUL3001: has both uri and prefixRewrite; give one of them",
        field: "",
    },
    Rule {
        holds: "!(has(self.port) && has(self.derivePort))",
        message: "TUL3001: has both port and derivePort; give one of them",
        field: "",
    },
    Rule {
        holds: "!has(self.redirectCode) || self.redirectCode in [301, 302, 303, 307, 308]",
        message: "TUL3001: is not a redirect; use 301, 302, 303, 307 or 308",
        field: ".redirectCode",
    },
];

/// An answer of fixed status and body. `headers.response` of the rule gives it headers, such as `content-type`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]))]
#[serde(rename_all = "camelCase")]
pub struct DirectResponse {
    /// Status. A gRPC caller gets the gRPC status it stands for.
    #[schemars(range(min = 200, max = 599))]
    pub status: i64,

    /// Body. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A body: exactly one of the two.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(BODY_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// As text, at most 128 KiB.
    #[schemars(length(max = 131_072))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string: Option<String>,

    /// As base64, at most 128 KiB once decoded.
    #[schemars(length(max = 174_764), regex(pattern = "^[A-Za-z0-9+/]*={0,2}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const BODY_RULES: &[Rule] = &[Rule {
    holds: "has(self.string) != has(self.bytes)",
    message: "TUL3001: has not exactly one of string and bytes; give one of them",
    field: "",
}];
