//! How the endpoints of destinations are chosen and called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{DURATION_PATTERN, Rule, cel, one_of};

/// How calls to destinations are made. Each proxy keeps to it for the calls of its own pod; none knows of the others' calls.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_POLICY))]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// Which endpoint is next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,

    /// What holds for connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_POLICY: Later = &[
    ("outlierDetection", Shape::Object),
    ("tls", Shape::Object),
    ("portLevelSettings", Shape::Objects),
    ("tunnel", Shape::Object),
    ("proxyProtocol", Shape::Object),
    ("retryBudget", Shape::Object),
];

/// Which endpoint is next.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_BALANCER))]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// `LEAST_REQUEST`: the better of two drawn at random, by requests under way and latency. `ROUND_ROBIN`: one after the other.
    /// `RANDOM`: any. `LEAST_CONN` and `UNSPECIFIED` mean the first. Absent: the first.
    #[schemars(transform = one_of(BALANCERS))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simple: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const BALANCERS: &[&str] = &["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "LEAST_CONN", "UNSPECIFIED"];

const LATER_BALANCER: Later = &[
    ("consistentHash", Shape::Object),
    ("localityLbSetting", Shape::Object),
    ("zoneAwareLbSetting", Shape::Object),
    ("warmup", Shape::Object),
    ("warmupDurationSecs", Shape::Text),
];

/// What holds for connections.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[("http", Shape::Object)]))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPool {
    /// Of every protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpSettings>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// What holds for connections of every protocol.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_TCP), transform = cel(TCP_RULES))]
#[serde(rename_all = "camelCase")]
pub struct TcpSettings {
    /// Limit for opening a connection, TLS included, e.g. `500ms`; then another endpoint is tried. Absent: 3.5 s for TCP, and 3 s for TLS.
    #[schemars(length(max = 32), regex(pattern = DURATION_PATTERN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const TCP_RULES: &[Rule] = &[Rule {
    holds: "!has(self.connectTimeout) || duration(self.connectTimeout) >= duration('1ms')",
    message: "TUL3001: is below 1ms, in which no connection opens; give more, or remove it",
    field: ".connectTimeout",
}];

const LATER_TCP: Later = &[
    ("maxConnections", Shape::Number),
    ("maxConnectionDuration", Shape::Text),
    ("idleTimeout", Shape::Text),
    ("tcpKeepalive", Shape::Object),
];
