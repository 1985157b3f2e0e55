//! Kinds of the Service Mesh Interface that Flagger and Argo Rollouts write: `TrafficSplit` v1alpha1 to v1alpha4 and the
//! `HTTPRouteGroup` it may refer to. They are read here and never written; the operator says the same in our own kind.
//!
//! The versions differ in how a weight is written, and the API server converts none of them, so a weight is taken as it comes.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Spec of a TrafficSplit.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "split.smi-spec.io",
    version = "v1alpha4",
    kind = "TrafficSplit",
    root = "SmiTrafficSplit",
    plural = "trafficsplits",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct SmiTrafficSplitSpec {
    /// The service clients call: a name of this namespace, short or as full DNS name.
    #[serde(default)]
    pub service: String,
    /// Who answers.
    #[serde(default)]
    pub backends: Vec<SmiBackend>,
    /// Groups of conditions. Requests that fit any of them are split, the others go to the service itself.
    #[serde(default)]
    pub matches: Vec<SmiReference>,
}

/// A backend with its share.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SmiBackend {
    /// A service of this namespace.
    #[serde(default)]
    pub service: String,
    /// v1alpha1: a Kubernetes quantity such as `500m` or `1`; since v1alpha2: a whole number.
    #[serde(default)]
    pub weight: Value,
}

/// A reference to a group of conditions.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct SmiReference {
    /// `HTTPRouteGroup`.
    #[serde(default)]
    pub kind: String,
    /// Its name in this namespace.
    #[serde(default)]
    pub name: String,
}

/// Spec of an HTTPRouteGroup.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "specs.smi-spec.io",
    version = "v1alpha4",
    kind = "HTTPRouteGroup",
    root = "SmiRouteGroup",
    plural = "httproutegroups",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct SmiRouteGroupSpec {
    /// Conditions, any of which is enough.
    #[serde(default)]
    pub matches: Vec<SmiCondition>,
}

/// A condition; every field given must hold.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SmiCondition {
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// A regular expression that fits the start of the path.
    #[serde(default)]
    pub path_regex: Option<String>,
    /// Methods, `*` for all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Headers with regular expressions for their values: a map, or in older versions a list of maps.
    #[serde(default)]
    pub headers: SmiHeaders,
}

/// Both forms of `headers`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum SmiHeaders {
    /// Since v1alpha3.
    Map(BTreeMap<String, String>),
    /// Before.
    List(Vec<BTreeMap<String, String>>),
}

impl Default for SmiHeaders {
    fn default() -> SmiHeaders {
        SmiHeaders::Map(BTreeMap::new())
    }
}

impl SmiHeaders {
    /// Names with their expressions.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        let maps = match self {
            SmiHeaders::Map(map) => std::slice::from_ref(map),
            SmiHeaders::List(maps) => maps.as_slice(),
        };
        maps.iter().flatten()
    }
}
