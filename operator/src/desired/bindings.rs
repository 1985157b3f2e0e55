//! Who may read the mesh's objects: the ServiceAccounts of meshed namespaces, each as a group, so that a new account
//! needs nothing. Bound when a namespace is labelled, which is before its first proxy starts.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;

use super::{Plan, Settings, managed, owner};
use crate::config::{BUNDLE_ROLE, PROXY_ROLE};
use crate::world::{Name, World};

const RBAC: &str = "rbac.authorization.k8s.io";
/// Group of every ServiceAccount of a namespace (Kubernetes authentication, "Service account tokens").
const GROUP_PREFIX: &str = "system:serviceaccounts:";

/// What to write, if the bindings differ from the meshed namespaces.
#[must_use]
pub fn plan(world: &World, settings: &Settings) -> Option<Plan> {
    let wanted: BTreeSet<Name> =
        world.tenants.iter().filter(|(_, tenant)| tenant.is_meshed()).map(|(name, _)| name.clone()).collect();
    if world.bound.as_ref() == Some(&wanted) && world.bundle_bound.as_ref() == Some(&wanted) {
        return None;
    }
    let subjects: Vec<Subject> = wanted.iter().map(|namespace| group(namespace)).collect();
    let cluster = ClusterRoleBinding {
        metadata: metadata(PROXY_ROLE, None),
        role_ref: role_ref("ClusterRole", PROXY_ROLE),
        subjects: Some(subjects.clone()),
    };
    let bundle = RoleBinding {
        metadata: metadata(BUNDLE_ROLE, Some(settings.system_namespace.clone())),
        role_ref: role_ref("Role", BUNDLE_ROLE),
        subjects: Some(subjects),
    };
    Some(Plan::Bindings(Box::new(cluster), Box::new(bundle)))
}

/// The role of the release as owner of its binding, so that the binding goes when the role goes.
#[must_use]
pub fn owner_of(kind: &str, name: &str, uid: &str) -> OwnerReference {
    owner(&format!("{RBAC}/v1"), kind, name, uid)
}

/// The namespaces that a binding's subjects stand for.
#[must_use]
pub fn namespaces(subjects: Option<&Vec<Subject>>) -> BTreeSet<Name> {
    let groups = subjects.into_iter().flatten().filter(|subject| subject.kind == "Group");
    groups.filter_map(|subject| subject.name.strip_prefix(GROUP_PREFIX)).map(Name::from).collect()
}

fn group(namespace: &str) -> Subject {
    Subject {
        api_group: Some(RBAC.to_owned()),
        kind: "Group".to_owned(),
        name: format!("{GROUP_PREFIX}{namespace}"),
        namespace: None,
    }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC.to_owned()), kind: kind.to_owned(), name: name.to_owned() }
}

fn metadata(name: &str, namespace: Option<String>) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace, labels: Some(managed([])), ..ObjectMeta::default() }
}

#[cfg(test)]
mod tests;
