//! (shell) Carries out one plan, and tells what the cluster holds afterwards.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tulle_crds::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

use crate::apply::{CallError, Writer, in_time};
use crate::config::{BUNDLE_ROLE, PROXY_ROLE};
use crate::desired::Plan;
use crate::desired::bindings::{namespaces, owner_of};
use crate::desired::mesh_service::{IDENTITIES_MAX, OUTSIDE_MAX};
use crate::desired::report::Report;
use crate::world::{Change, Key, Ref, cut};

/// Writes what `plan` says; the answer is what the world should take in at once.
///
/// # Errors
/// The first write that failed; what was written before it stays, and is found equal the next time.
pub(super) async fn carry_out(writer: &Writer, plan: Plan) -> Result<Vec<Change>, CallError> {
    match plan {
        Plan::MeshService(object) => mesh_service(writer, *object).await,
        Plan::RemoveMeshService { of, uid } => {
            let api: Api<MeshService> = Api::namespaced(writer.client().clone(), &of.namespace);
            writer.delete(&api, &of.name, uid.as_deref()).await?;
            Ok(vec![Change::MeshService(of, None)])
        }
        Plan::MeshEndpoint(object) => {
            let api: Api<MeshEndpoint> =
                Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
            let written = unless_gone(writer.apply(&api, &object.name_any(), &object).await)?;
            Ok(written
                .into_iter()
                .map(|object| Change::MeshEndpoint(cut::reference(&object), Some(cut::user(object))))
                .collect())
        }
        Plan::RemoveMeshEndpoint { of, uid } => {
            let api: Api<MeshEndpoint> = Api::namespaced(writer.client().clone(), &of.namespace);
            writer.delete(&api, &of.name, uid.as_deref()).await?;
            Ok(vec![Change::MeshEndpoint(of, None)])
        }
        Plan::Bindings(cluster, bundle) => bindings(writer, *cluster, *bundle).await,
        Plan::Status(report) => status(writer, *report).await,
    }
}

async fn mesh_service(writer: &Writer, mut object: MeshService) -> Result<Vec<Change>, CallError> {
    let api: Api<MeshService> = Api::namespaced(writer.client().clone(), &object.namespace().unwrap_or_default());
    let name = object.name_any();
    if object.spec.identities.len() == IDENTITIES_MAX || object.spec.outside.len() == OUTSIDE_MAX {
        let namespace = object.namespace();
        tracing::warn!(
            name,
            namespace,
            "a Service has more members than its MeshService holds; split it up, calls to the rest are refused"
        );
    }
    let status = object.status.take();
    let Some(mut written) = unless_gone(writer.apply(&api, &name, &object).await)? else { return Ok(Vec::new()) };
    if written.status != status {
        let part = json!({
            "apiVersion": MeshService::api_version(&()),
            "kind": MeshService::kind(&()),
            "status": status,
        });
        match unless_gone(writer.apply_status(&api, &name, &part).await)? {
            Some(object) => written = object,
            None => return Ok(Vec::new()),
        }
    }
    Ok(vec![Change::MeshService(cut::reference(&written), Some(cut::user(written)))])
}

async fn bindings(
    writer: &Writer,
    mut cluster: ClusterRoleBinding,
    mut bundle: RoleBinding,
) -> Result<Vec<Change>, CallError> {
    let client = writer.client().clone();
    let namespace = bundle.namespace().unwrap_or_default();
    // Read anew each time: an owner that was replaced would make the garbage collector take the binding away.
    let roles: Api<Role> = Api::namespaced(client.clone(), &namespace);
    bundle.metadata.owner_references = owner(&roles, BUNDLE_ROLE).await?;
    let api: Api<RoleBinding> = Api::namespaced(client.clone(), &namespace);
    let bundle = writer.apply(&api, BUNDLE_ROLE, &bundle).await?;
    let roles: Api<ClusterRole> = Api::all(client.clone());
    cluster.metadata.owner_references = owner(&roles, PROXY_ROLE).await?;
    let api: Api<ClusterRoleBinding> = Api::all(client);
    let cluster = writer.apply(&api, PROXY_ROLE, &cluster).await?;
    Ok(vec![
        Change::BundleBound(Some(namespaces(bundle.subjects.as_ref()))),
        Change::Bound(Some(namespaces(cluster.subjects.as_ref()))),
    ])
}

/// A role that is not there owns nothing.
async fn owner<K>(roles: &Api<K>, name: &str) -> Result<Option<Vec<OwnerReference>>, CallError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let role = in_time(roles.get_opt(name)).await?;
    Ok(role.and_then(|role| role.uid()).map(|uid| vec![owner_of(&K::kind(&()), name, &uid)]))
}

async fn status(writer: &Writer, report: Report) -> Result<Vec<Change>, CallError> {
    let Report { key, status, notes, about } = report;
    let changes = match &key {
        Key::TrafficSplit(of) => {
            write_status::<TrafficSplit>(writer, of, &status).await?.map(|o| Change::TrafficSplit(of.clone(), Some(o)))
        }
        Key::VirtualService(of) => write_status::<VirtualService>(writer, of, &status)
            .await?
            .map(|o| Change::VirtualService(of.clone(), Some(o))),
        Key::MeshPolicy(of) => {
            write_status::<MeshPolicy>(writer, of, &status).await?.map(|o| Change::MeshPolicy(of.clone(), Some(o)))
        }
        Key::Bindings | Key::Service(_) | Key::Pod(_) => None,
    };
    if changes.is_some() {
        for note in notes {
            writer.event(&about, note.warning, note.reason, "Reconcile", &note.text).await;
        }
    }
    Ok(changes.into_iter().collect())
}

async fn write_status<K>(writer: &Writer, of: &Ref, status: &serde_json::Value) -> Result<Option<Arc<K>>, CallError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(writer.client().clone(), &of.namespace);
    let part = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "status": status});
    Ok(unless_gone(writer.apply_status(&api, &of.name, &part).await)?.map(cut::user))
}

/// A namespace that ends takes no new objects, one that is gone has none: nothing is left to do, the watches will tell
/// the same.
fn unless_gone<T>(result: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match result {
        Ok(written) => Ok(Some(written)),
        Err(error) if error.is_not_found() || error.is_ending() => Ok(None),
        Err(error) => Err(error),
    }
}
