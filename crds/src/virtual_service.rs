//! `VirtualService`: how requests and connections to a host are matched, and where they go.
//!
//! Field names, order and meaning follow Istio's `networking.istio.io` VirtualService, so that a manifest works after its
//! `apiVersion` changes. What this release does not act on is refused, see [`later`](crate::later).

mod bytes;
mod condition;
mod cors;
mod delegate;
mod destination;
mod fault;
mod filter;
mod headers;
mod redirect;
mod rewrite;
mod subset;
mod traffic_policy;

pub use bytes::{ConnectionMatch, TcpMatch, TcpRoute, TlsMatch, TlsRoute};
pub use condition::{HttpMatch, StringMatch};
pub use cors::CorsPolicy;
pub use delegate::Delegate;
pub use destination::{Destination, PortSelector, RouteDestination, WeightedDestination};
pub use fault::{Abort, Delay, Fault, Percent};
pub use filter::{Filters, Mirror, Retries};
pub use headers::{HeaderOperations, Headers};
pub use redirect::{Body, DirectResponse, Redirect};
pub use rewrite::{RegexRewrite, Rewrite};
pub use subset::Subset;
pub use traffic_policy::{ConnectionPool, LoadBalancer, TcpSettings, TrafficPolicy};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::later::{Rest, refuse};
use crate::schema::{HOST_MAX, HOSTS_PATTERN, Rule, cel, items, keyed_by};

/// Routes of one or more hosts.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tulle.dev",
    version = "v1alpha1",
    kind = "VirtualService",
    doc = "How requests and connections to a host are matched, and which services receive them. Field names follow Istio.",
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
#[schemars(transform = refuse(&[]), transform = cel(SPEC_RULES))]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// Services these routes apply to: a short name (of this object's namespace), `name.namespace`, or the full DNS name; `*.namespace`
    /// (also with `.svc` or in full) for every service of a namespace, and `*` for every one of this object's. Objects that name a
    /// service more exactly are asked alone: a name before `*.namespace` before `*`. For services of another namespace the routes are
    /// for callers in this namespace only, and replace that namespace's own for the same host. Absent: other objects use these routes
    /// by `delegate`, and nobody else.
    #[schemars(length(max = 16), inner(length(min = 1, max = HOST_MAX)), transform = items(HOSTS_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,

    /// Which gateways serve these routes: `mesh`, which is every sidecar and has to be among them. This release serves no other.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,

    /// Namespaces whose proxies follow these routes, or, without `hosts`, whose objects may delegate to them: `.` is this one, `*` or
    /// nothing at all is every one.
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), transform = items(EXPORT_PATTERN))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,

    /// Routes of HTTP traffic in order: the first whose `match` fits is taken.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRoute>,

    /// Routes of the application's own TLS in order, by the server its ClientHello names; it passes through unopened. They are asked on
    /// ports declared to be TLS (`tls`, `https`) and on undeclared ones, and before `tcp`. A connection that fits none of either goes to
    /// the service it dialled.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<TlsRoute>,

    /// Routes of connections that are not HTTP in order: the first whose `match` fits is taken. A connection that fits none goes to the
    /// service it dialled.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRoute>,

    /// Parts of services, told apart by labels of their pods, for `subset` of destinations. They take effect together with the rules:
    /// one edit changes both.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Subset>,

    /// How calls to the destinations of these rules are made. It is not for traffic that fits no rule. What a subset says in its own
    /// `trafficPolicy` stands in place of the field of the same name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

/// A namespace, `.` or `*`.
const EXPORT_PATTERN: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|\.|\*)$";

const SPEC_RULES: &[Rule] = &[
    Rule {
        holds: "has(self.http) || has(self.tls) || has(self.tcp)",
        message: "TUL3003: lists no rule; give one in http, tls or tcp",
        field: "",
    },
    Rule {
        holds: "has(self.hosts) && size(self.hosts) > 0 || !has(self.tls)",
        message: "TUL3001: is for the hosts of its own object, and there are none: delegation is of http alone; \
                  give hosts, or remove it",
        field: ".tls",
    },
    Rule {
        holds: "has(self.hosts) && size(self.hosts) > 0 || !has(self.tcp)",
        message: "TUL3001: is for the hosts of its own object, and there are none: delegation is of http alone; \
                  give hosts, or remove it",
        field: ".tcp",
    },
];

/// One rule: which requests, and what happens to them.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[schemars(transform = refuse(&[]), transform = cel(HTTP_RULES))]
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<RouteDestination>,

    /// The caller is sent elsewhere, instead of `route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,

    /// The proxy answers itself, instead of `route`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_response: Option<DirectResponse>,

    /// The rules of another VirtualService decide, instead of `route`. What this rule says of requests and answers on the way holds
    /// where those rules say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,

    /// What is done to requests and answers on the way.
    #[serde(flatten)]
    pub filters: Filters,

    /// Fields unknown to this release.
    #[serde(flatten)]
    pub rest: Rest,
}

const HTTP_RULES: &[Rule] = &[
    Rule {
        holds: "(has(self.route) ? 1 : 0) + (has(self.redirect) ? 1 : 0) + (has(self.directResponse) ? 1 : 0) + \
                (has(self.delegate) ? 1 : 0) == 1",
        message: "TUL3003: has not exactly one of route, redirect, directResponse and delegate; give exactly one",
        field: "",
    },
    Rule {
        holds: "!has(self.route) || size(self.route) == 1 || self.route.exists(d, has(d.weight) && d.weight > 0)",
        message: "TUL3009: all weights are 0 or absent; give at least one entry a weight above 0",
        field: ".route",
    },
    Rule {
        holds: "!has(self.rewrite) || has(self.route) || has(self.delegate)",
        message: "TUL3001: nothing is forwarded that could be rewritten; remove rewrite, or give a route",
        field: ".rewrite",
    },
    Rule {
        holds: "!has(self.mirror) || !has(self.mirrors) || size(self.mirrors) == 0",
        message: "TUL3001: has both mirror and mirrors; move it into mirrors",
        field: ".mirror",
    },
    Rule {
        holds: "has(self.route) || has(self.delegate) || !has(self.mirror) && (!has(self.mirrors) || size(self.mirrors) == 0)",
        message: "TUL3001: nothing is forwarded that could be mirrored; remove the mirrors, or give a route",
        field: "",
    },
    Rule {
        holds: "has(self.mirror) || !has(self.mirrorPercentage) && !has(self.mirrorPercent)",
        message: "TUL3003: there is a share and no mirror; give mirror, or remove the share",
        field: "",
    },
    Rule {
        holds: "!has(self.redirect) || !has(self.redirect.prefixRewrite) || \
                has(self.match) && self.match.all(m, has(m.uri) && has(m.uri.prefix))",
        message: "TUL3001: prefixRewrite needs a prefix in each match; give match.uri.prefix, or use uri",
        field: ".redirect",
    },
];

/// What the operator found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceStatus {
    /// Generation of the spec that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, PartiallyInvalid where some rules cannot be read, ResolvedRefs, Programmed and their summary Ready.
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
