//! `MeshPolicy`: who may call the workloads it selects, and whether plaintext is accepted.
//!
//! Sections follow Istio's PeerAuthentication (`mtls`, `portLevelMtls`) and AuthorizationPolicy (`action`, `rules`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Later, Rest, Shape, refuse};
use crate::schema::{PORT_PATTERN, Rule, SERVICE_ACCOUNT_PATTERN, WILDCARD_PATTERN, cel, items, keyed_by, one_of};

const MTLS_MODES: &[&str] = &["STRICT", "PERMISSIVE", "DISABLE"];
const ACTIONS: &[&str] = &["ALLOW", "DENY", "AUDIT"];

/// Policy of the workloads selected: of one workload, a namespace, or (in the system namespace) the mesh.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "MeshPolicy",
    doc = "Who may call the selected workloads, and whether they accept plaintext. Field names follow Istio.",
    namespaced,
    status = "MeshPolicyStatus",
    shortname = "mpol",
    category = "mesh",
    category = "tulle",
    derive = "PartialEq",
    printcolumn(name = "Target", type_ = "string", json_path = ".status.target"),
    printcolumn(name = "mTLS", type_ = "string", json_path = ".spec.mtls.mode"),
    printcolumn(name = "Authz", type_ = "string", json_path = ".status.authorization"),
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
#[schemars(transform = refuse(LATER_SPEC), transform = cel(SPEC_RULES))]
#[serde(rename_all = "camelCase")]
pub struct MeshPolicySpec {
    /// Which pods of this namespace. Absent: all of them; in the system namespace, all pods of the mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,

    /// Whether callers must come with a certificate of the mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,

    /// Who may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const SPEC_RULES: &[Rule] = &[Rule {
    holds: "has(self.selector) || !has(self.mtls) || !has(self.mtls.portLevelMtls) || size(self.mtls.portLevelMtls) == 0",
    message: "TUL3003: mtls.portLevelMtls needs a selector, since ports belong to workloads; add spec.selector",
    field: ".mtls",
}];

const LATER_SPEC: Later = &[
    ("targetRefs", Shape::Objects),
    ("mode", Shape::Text),
    ("requestAuthentication", Shape::Object),
    ("rateLimit", Shape::Object),
    ("resilience", Shape::Object),
    ("telemetry", Shape::Object),
    ("egress", Shape::Object),
];

/// Pods by label.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[("matchExpressions", Shape::Objects)]))]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels a pod must carry, all of them. Empty: every pod of the namespace.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const MTLS_RULES: &[Rule] = &[Rule {
    holds: "!has(self.portLevelMtls) || self.portLevelMtls.all(port, int(port) >= 1 && int(port) <= 65535)",
    message: "TUL3001: a key is not a port; use 1 to 65535",
    field: ".portLevelMtls",
}];

/// Acceptance of plaintext.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = cel(MTLS_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Mtls {
    /// `STRICT`: only mutual TLS. `PERMISSIVE`: also plaintext. `DISABLE`: the proxy does not ask for TLS.
    /// Absent: what the next wider policy says. Port beats workload beats namespace beats mesh; the oldest policy wins a tie.
    #[schemars(transform = one_of(MTLS_MODES))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,

    /// The same for single ports of the workload, by number; needs a `selector`.
    #[schemars(schema_with = "port_level_schema")]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub port_level_mtls: BTreeMap<String, PortMtls>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

fn port_level_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <BTreeMap<String, PortMtls>>::json_schema(generator);
    schema.insert("maxProperties".into(), 16.into());
    schema
}

/// Acceptance of plaintext on one port.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PortMtls {
    /// `STRICT`, `PERMISSIVE` or `DISABLE`, as for the workload.
    #[schemars(transform = one_of(MTLS_MODES))]
    pub mode: String,
}

/// Who may call. Order over all policies of a workload: a DENY that fits refuses; else, where any ALLOW policy exists, one of its
/// rules must fit; else the call is allowed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[("provider", Shape::Object)]))]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// `ALLOW`, `DENY`, or `AUDIT` (counted and logged, decides nothing).
    #[schemars(transform = one_of(ACTIONS))]
    #[serde(default = "allow")]
    pub action: String,

    /// Rules, any of which fits. Absent: never fits, so an ALLOW without rules denies everything. `[{}]` always fits.
    #[schemars(length(max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AuthorizationRule>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

fn allow() -> String {
    "ALLOW".to_string()
}

/// A rule fits when one of `from` and one of `to` fit; an absent list fits everything.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[("when", Shape::Objects)]))]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRule {
    /// Callers.
    #[schemars(length(min = 1, max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<RuleFrom>>,

    /// Operations.
    #[schemars(length(min = 1, max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<RuleTo>>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// One kind of caller.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuleFrom {
    /// Conditions on the caller, all of which must hold.
    pub source: Source,

    /// Fields unknown to this release.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// Conditions on the caller. Strings are exact, `abc*`, `*abc`, or `*` (any caller with an identity).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_SOURCE), transform = cel(SOURCE_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Identities: `spiffe://domain/ns/x/sa/y`, or the same without the scheme.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 320)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<String>,
    /// Identities that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 320)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_principals: Vec<String>,
    /// Namespaces of callers.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_namespaces: Vec<String>,
    /// ServiceAccounts, `namespace/name`, or `name` in this namespace; exact.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 317)), transform = items(SERVICE_ACCOUNT_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
    /// ServiceAccounts that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 317)), transform = items(SERVICE_ACCOUNT_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_service_accounts: Vec<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const SOURCE_RULES: &[Rule] = &[Rule {
    holds: "[has(self.principals), has(self.notPrincipals), has(self.namespaces), has(self.notNamespaces), \
            has(self.serviceAccounts), has(self.notServiceAccounts)].exists(given, given)",
    message: "TUL3003: has no condition; add one, or leave from or to out to fit everything",
    field: "",
}];

const LATER_SOURCE: Later = &[
    ("requestPrincipals", Shape::Strings),
    ("notRequestPrincipals", Shape::Strings),
    ("ipBlocks", Shape::Strings),
    ("notIpBlocks", Shape::Strings),
    ("remoteIpBlocks", Shape::Strings),
    ("notRemoteIpBlocks", Shape::Strings),
    ("trustDomains", Shape::Strings),
    ("notTrustDomains", Shape::Strings),
];

/// One kind of operation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuleTo {
    /// Conditions on the request, all of which must hold.
    pub operation: Operation,

    /// Fields unknown to this release.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: Rest,
}

/// Conditions on the request. On raw TCP a rule with methods or paths never allows, and denies by its other conditions.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(LATER_OPERATION), transform = cel(OPERATION_RULES))]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Methods: exact, `abc*`, `*abc`, `*`. gRPC is always `POST`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Methods that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_methods: Vec<String>,
    /// Paths without query, in normal form: exact, `abc*`, `*abc`, `*`. gRPC: `/package.Service/Method`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 1024)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Paths that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 1024)), transform = items(WILDCARD_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_paths: Vec<String>,
    /// Ports of the workload, as strings: `"8080"`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 5)), transform = items(PORT_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Ports that do not fit.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 5)), transform = items(PORT_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_ports: Vec<String>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const LATER_OPERATION: Later = &[("hosts", Shape::Strings), ("notHosts", Shape::Strings)];

const OPERATION_RULES: &[Rule] = &[Rule {
    holds: "[has(self.methods), has(self.notMethods), has(self.paths), has(self.notPaths), has(self.ports), \
            has(self.notPorts)].exists(given, given)",
    message: "TUL3003: has no condition; add one, or leave from or to out to fit everything",
    field: "",
}];

/// What the operator found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MeshPolicyStatus {
    /// Generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and their summary Ready.
    #[schemars(transform = keyed_by("type"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What is selected: `mesh`, `namespace`, or labels such as `app=web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Action and number of rules, e.g. `ALLOW 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The older policy that decides `mtls` for the same target, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
}
