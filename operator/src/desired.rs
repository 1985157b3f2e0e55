//! What the cluster should look like. Nothing here awaits, reads a clock or holds a client: the same world gives the same
//! answer. [`plan`] compares it with what is and says what to write, if anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tulle_core::identity::TrustDomain;
use tulle_crds::labels::{MANAGED_BY, MANAGED_BY_LABEL};
use tulle_crds::{MeshEndpoint, MeshService};

use crate::world::{Key, Ref, World};

pub mod bindings;
pub mod mesh_endpoint;
pub mod mesh_policy;
pub mod mesh_service;
pub mod report;
pub mod smi;
#[cfg(test)]
pub(crate) mod testing;
pub mod traffic_split;
pub mod virtual_service;

/// What decisions need beside the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the control plane.
    pub system_namespace: String,
    /// First part of every identity.
    pub trust_domain: TrustDomain,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
}

/// What to write for one key.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant is named for what it writes")]
pub enum Plan {
    MeshService(Box<MeshService>),
    RemoveMeshService { of: Ref, uid: Option<String> },
    MeshEndpoint(Box<MeshEndpoint>),
    RemoveMeshEndpoint { of: Ref, uid: Option<String> },
    Bindings(Box<ClusterRoleBinding>, Box<RoleBinding>),
    Status(Box<report::Report>),
}

/// What to write for `key`, or `None` where the cluster is as it should be.
#[must_use]
pub fn plan(key: &Key, world: &World, settings: &Settings, now: Timestamp) -> Option<Plan> {
    match key {
        Key::Bindings => bindings::plan(world, settings),
        Key::Service(of) => mesh_service::plan(of, world, settings),
        Key::Pod(of) => mesh_endpoint::plan(of, world, settings),
        Key::TrafficSplit(of) => traffic_split::plan(of, world, settings, now),
        Key::VirtualService(of) => virtual_service::plan(of, world, settings, now),
        Key::MeshPolicy(of) => mesh_policy::plan(of, world, settings, now),
    }
}

/// The owner whose end is the end of what is written for it. No controller flag and no blocking of deletion: the
/// operator removes its objects itself, the garbage collector is for when it is away.
fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }
}

fn managed(labels: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    labels.into_iter().chain([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())]).collect()
}

/// Whether an object in the cluster carries the labels and the owner that the desired one has; others may add theirs.
fn metadata_is(desired: &kube::api::ObjectMeta, found: &kube::api::ObjectMeta) -> bool {
    let found_labels = found.labels.as_ref();
    let labels = desired
        .labels
        .iter()
        .flatten()
        .all(|(key, value)| found_labels.and_then(|labels| labels.get(key)) == Some(value));
    // A label of ours with an address the object lost would lead proxies to the wrong object.
    let stale = found_labels.into_iter().flatten().any(|(key, _)| {
        key.starts_with("tulle.dev/") && desired.labels.as_ref().is_none_or(|labels| !labels.contains_key(key))
    });
    labels && !stale && desired.owner_references == found.owner_references
}

/// The name of a shared string as an owned one.
fn owned(name: &Arc<str>) -> Option<String> {
    Some(name.to_string())
}
