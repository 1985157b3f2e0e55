//! `VirtualService`: how requests to a host are matched, and where they go.
//!
//! Field names, order and meaning follow Istio's `networking.istio.io` VirtualService, so that a manifest works after its
//! `apiVersion` changes. What this release does not act on is refused, see [`later`](crate::later).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{DURATION_PATTERN, HOST_MAX, HOST_PATTERN, Rule, cel, host, items, keyed_by};

/// Routes of one or more hosts.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "VirtualService",
    doc = "How requests to a host are matched, and which services receive them. Field names follow Istio.",
    namespaced,
    status = "VirtualServiceStatus",
    shortname = "tvs",
    category = "mesh",
    category = "tulle",
    derive = "PartialEq",
    printcolumn(name = "Hosts", type_ = "string", json_path = ".status.hosts"),
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.rules"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".status.observedGeneration", priority = 1),
    printcolumn(name = "Winner", type_ = "string", json_path = ".status.winner", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[schemars(transform = refuse(LATER_SPEC))]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// Services these routes apply to: a short name (of this object's namespace), `name.namespace`, or the full DNS name.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = HOST_MAX)), transform = items(HOST_PATTERN))]
    pub hosts: Vec<String>,

    /// Routes of HTTP traffic in order: the first whose `match` fits is taken.
    #[schemars(length(min = 1, max = 64))]
    pub http: Vec<HttpRoute>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_SPEC: Later = &[
    ("gateways", Shape::Strings),
    ("exportTo", Shape::Strings),
    ("tls", Shape::Objects),
    ("tcp", Shape::Objects),
    ("subsets", Shape::Objects),
];

/// One rule: which requests, and what happens to them.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_HTTP), transform = cel(HTTP_RULES))]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// A name for logs, metrics and status; the position is used where it is absent.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Conditions, any of which selects the rule; inside one, all must hold. Absent: every request.
    #[schemars(length(max = 16))]
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpMatch>,

    /// Destinations, chosen by weight.
    #[schemars(length(min = 1, max = 16))]
    pub route: Vec<RouteDestination>,

    /// Limit for the whole answer, retries included, e.g. `10s`. Absent or `0s`: no limit.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,

    /// When and how often a failed attempt is repeated. Absent: never by this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const HTTP_RULES: &[Rule] = &[Rule {
    holds: "size(self.route) == 1 || self.route.exists(d, has(d.weight) && d.weight > 0)",
    message: "TUL3009: all weights are 0 or absent; give at least one entry a weight above 0",
    field: ".route",
}];

const LATER_HTTP: Later = &[
    ("redirect", Shape::Object),
    ("directResponse", Shape::Object),
    ("delegate", Shape::Object),
    ("rewrite", Shape::Object),
    ("fault", Shape::Object),
    ("mirror", Shape::Object),
    ("mirrors", Shape::Objects),
    ("mirrorPercent", Shape::Integer),
    ("mirrorPercentage", Shape::Object),
    ("corsPolicy", Shape::Object),
    ("headers", Shape::Object),
];

/// One condition on a request; every field given must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_MATCH), transform = cel(MATCH_RULES))]
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

const LATER_MATCH: Later = &[
    ("sourceLabels", Shape::Object),
    ("sourceNamespace", Shape::Text),
    ("gateways", Shape::Strings),
    ("statPrefix", Shape::Text),
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

/// A destination with its share.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_DESTINATION))]
#[serde(rename_all = "camelCase")]
pub struct RouteDestination {
    /// Where requests go.
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

const LATER_DESTINATION: Later = &[("headers", Shape::Object)];

/// A service, and which of its ports.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[("subset", Shape::Text)]))]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// A service of this object's namespace: short name, `name.namespace`, or the full DNS name.
    #[schemars(length(min = 1, max = HOST_MAX), transform = host)]
    pub host: String,

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

/// Repetition of failed attempts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_RETRIES))]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Attempts after the first. 0 switches retries off.
    #[schemars(range(min = 0, max = 10))]
    pub attempts: i64,

    /// Limit for each attempt, e.g. `2s`. Absent: the rule's timeout.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,

    /// What counts as a failure, comma-separated: `5xx`, `gateway-error`, `reset`, `connect-failure`, `refused-stream`,
    /// `retriable-4xx`, `cancelled`, `deadline-exceeded`, `resource-exhausted`, `unavailable`, `internal`, or status codes.
    /// Absent: `connect-failure,refused-stream,unavailable,cancelled`.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_RETRIES: Later = &[
    ("retryRemoteLocalities", Shape::Boolean),
    ("retryIgnorePreviousHosts", Shape::Boolean),
    ("backoff", Shape::Text),
];

/// What the operator found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceStatus {
    /// Generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and their summary Ready.
    #[schemars(transform = keyed_by("type"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Hosts in short form, e.g. `web,api +2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<String>,
    /// Number of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<i64>,
    /// The object that holds a host claimed by several, `namespace/name`, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
}
