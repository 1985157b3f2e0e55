//! (shell) `tulle-operator uninstall`: takes away what the operator wrote, and refuses while somebody lives on it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use anyhow::Context;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tulle_core::sidecar::TRUST_BUNDLE_CONFIG_MAP;
use tulle_crds::labels::{INJECTED_LABEL, INJECTED_VALUE};
use tulle_crds::{MeshEndpoint, MeshService};

use crate::apply::Writer;
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
    delete_everywhere::<MeshService>(&client, &writer).await?;
    delete_everywhere::<MeshEndpoint>(&client, &writer).await?;
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
    // Pods that have ended need no certificate any more.
    let carrying = ListParams::default()
        .labels(&format!("{INJECTED_LABEL}={INJECTED_VALUE}"))
        .fields("status.phase!=Succeeded,status.phase!=Failed");
    let found = pods.list(&carrying).await.context("list pods with proxies")?.items;
    let name = |pod: &PartialObjectMeta<Pod>| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    let some: Vec<String> = found.iter().take(NAMED_MAX).map(name).collect();
    anyhow::ensure!(
        found.is_empty(),
        "{} pods still carry proxies and would lose their certificates, e.g. {}; remove the label tulle.dev/inject from their \
         namespaces, restart their workloads, then uninstall again; to keep the mesh instead: helm rollback RELEASE REVISION",
        found.len(),
        some.join(", ")
    );
    Ok(())
}

/// Deletes a kind in every namespace that has it: the API server deletes collections within one namespace only.
async fn delete_everywhere<K>(client: &Client, writer: &Writer) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let found = match Api::<K>::all(client.clone()).list_metadata(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()), // its CRD has gone before us
        Err(error) => return Err(error).with_context(|| format!("list objects of kind {}", K::kind(&()))),
    };
    let namespaces: BTreeSet<String> = found.iter().filter_map(ResourceExt::namespace).collect();
    for namespace in namespaces {
        writer.delete_all(&Api::<K>::namespaced(client.clone(), &namespace)).await?;
    }
    Ok(())
}
