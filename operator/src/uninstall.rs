//! [shell] `tulle-operator uninstall`: takes away what the operator wrote, and refuses while somebody lives on it.

use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use tulle_core::sidecar::TRUST_BUNDLE_CONFIG_MAP;
use tulle_crds::labels::{INJECTED_LABEL, INJECTED_VALUE};
use tulle_crds::{MeshEndpoint, MeshService};

use crate::apply::{WriteError, Writer};
use crate::config::{BUNDLE_ROLE, CA_SECRET, LEASE, PROXY_ROLE, Uninstall, WEBHOOK_CA_SECRET, WEBHOOK_TLS_SECRET};
use crate::lease::Fence;

/// Pods named in the refusal.
const NAMED_MAX: usize = 5;

/// Checks, and unless only that was asked for, removes.
///
/// # Errors
/// Pods still carry proxies (the sentence names some), or the API server refused.
pub async fn uninstall(arguments: Uninstall) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("no cluster to talk to")?;
    refuse_while_in_use(&client).await?;
    if arguments.check {
        tracing::info!("no pod carries a proxy");
        return Ok(());
    }
    let writer = Writer::new(client.clone(), Fence::open(), "uninstall");
    let namespace = arguments.system_namespace.as_str();
    unless_kind_gone(writer.delete_all(&Api::<MeshService>::all(client.clone())).await)?;
    unless_kind_gone(writer.delete_all(&Api::<MeshEndpoint>::all(client.clone())).await)?;
    writer.delete(&Api::<ClusterRoleBinding>::all(client.clone()), PROXY_ROLE, None).await?;
    writer.delete(&Api::<RoleBinding>::namespaced(client.clone(), namespace), BUNDLE_ROLE, None).await?;
    writer.delete(&Api::<ConfigMap>::namespaced(client.clone(), namespace), TRUST_BUNDLE_CONFIG_MAP, None).await?;
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    for name in [WEBHOOK_TLS_SECRET, WEBHOOK_CA_SECRET, CA_SECRET] {
        writer.delete(&secrets, name, None).await?;
    }
    writer.delete(&Api::<Lease>::namespaced(client, namespace), LEASE, None).await?;
    tracing::info!("everything the operator wrote is removed");
    Ok(())
}

async fn refuse_while_in_use(client: &Client) -> anyhow::Result<()> {
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(client.clone());
    let carrying = ListParams::default().labels(&format!("{INJECTED_LABEL}={INJECTED_VALUE}"));
    let found = pods.list(&carrying).await.context("list pods with proxies")?.items;
    let name = |pod: &PartialObjectMeta<Pod>| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    let some: Vec<String> = found.iter().take(NAMED_MAX).map(name).collect();
    anyhow::ensure!(
        found.is_empty(),
        "{} pods still carry proxies and would lose their certificates, e.g. {}; remove the label tulle.dev/inject from their \
         namespaces, restart their workloads, then uninstall again",
        found.len(),
        some.join(", ")
    );
    Ok(())
}

/// The CRDs may have gone before us.
fn unless_kind_gone(result: Result<(), WriteError>) -> Result<(), WriteError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
