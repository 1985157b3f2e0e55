//! Rules for connections that are not HTTP.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WeightedDestination;
use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{HOST_MAX, Rule, SERVER_NAME_PATTERN, SUBNET_PATTERN, cel, items};

/// One rule for TLS of the application: which connections, and who receives them.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(ROUTE_RULES))]
#[serde(rename_all = "camelCase")]
pub struct TlsRoute {
    /// Conditions, any of which selects the rule; inside one, all must hold.
    #[schemars(length(min = 1, max = 16))]
    #[serde(rename = "match")]
    pub matches: Vec<TlsMatch>,

    /// Destinations, chosen by weight.
    #[schemars(length(min = 1, max = 16))]
    pub route: Vec<WeightedDestination>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One rule for bytes: which connections, and who receives them.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(ROUTE_RULES))]
#[serde(rename_all = "camelCase")]
pub struct TcpRoute {
    /// Conditions, any of which selects the rule; inside one, all must hold. Absent: every connection.
    #[schemars(length(max = 16))]
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<TcpMatch>,

    /// Destinations, chosen by weight.
    #[schemars(length(min = 1, max = 16))]
    pub route: Vec<WeightedDestination>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const ROUTE_RULES: &[Rule] = &[Rule {
    holds: "size(self.route) == 1 || self.route.exists(d, has(d.weight) && d.weight > 0)",
    message: "TUL3009: all weights are 0 or absent; give at least one entry a weight above 0",
    field: ".route",
}];

/// One condition on a connection that opens with a ClientHello; every field given must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_MATCH))]
#[serde(rename_all = "camelCase")]
pub struct TlsMatch {
    /// Names of servers, any of which the ClientHello asks for (SNI): exact, `*.` and a name for all below it, or `*` for any and also
    /// for none.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = HOST_MAX)), transform = items(SERVER_NAME_PATTERN))]
    pub sni_hosts: Vec<String>,

    /// The other conditions.
    #[serde(flatten)]
    pub connection: ConnectionMatch,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One condition on a connection; every field given must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_MATCH))]
#[serde(rename_all = "camelCase")]
pub struct TcpMatch {
    /// The conditions.
    #[serde(flatten)]
    pub connection: ConnectionMatch,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_MATCH: Later = &[("sourceSubnet", Shape::Text)];

/// What can be asked of any connection.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionMatch {
    /// Networks, any of which holds the address the client dialled: `10.0.0.0/8`, or one address.
    #[schemars(length(max = 16), inner(length(min = 2, max = 49)), transform = items(SUBNET_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination_subnets: Vec<String>,

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

    /// Which gateways the condition is for: `mesh` is every sidecar. A condition for others only holds for nothing in the mesh.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
}
