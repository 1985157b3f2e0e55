//! Who answers at the address of a meshed pod.

use kube::api::ObjectMeta;
use tulle_core::identity::SpiffeId;
use tulle_crds::labels::{AddressKind, ip_label};
use tulle_crds::{MeshEndpoint, MeshEndpointSpec};

use super::{Plan, Settings, managed, metadata_is, owned, owner};
use crate::world::{Pod, Ref, World};

/// What to write for a pod, or for one that is gone or has ended: its address may belong to another pod by then.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let found = tenant.mesh_endpoints.get(&of.name);
    let Some(desired) = tenant.pods.get(&of.name).and_then(|pod| desired(of, pod, settings)) else {
        let uid = found?.metadata.uid.clone();
        return Some(Plan::RemoveMeshEndpoint { of: of.clone(), uid });
    };
    let same = found.is_some_and(|found| metadata_is(&desired.metadata, &found.metadata) && desired.spec == found.spec);
    (!same).then(|| Plan::MeshEndpoint(Box::new(desired)))
}

fn desired(of: &Ref, pod: &Pod, settings: &Settings) -> Option<MeshEndpoint> {
    if !pod.meshed || pod.ended || pod.ips.is_empty() {
        return None;
    }
    let identity = SpiffeId::new(&settings.trust_domain, &of.namespace, &pod.service_account).ok()?;
    let labels = pod.ips.iter().map(|address| {
        let (key, value) = ip_label(*address, AddressKind::PodIp);
        (key.to_owned(), value)
    });
    Some(MeshEndpoint {
        metadata: ObjectMeta {
            name: owned(&of.name),
            namespace: owned(&of.namespace),
            labels: Some(managed(labels)),
            owner_references: Some(vec![owner("v1", "Pod", &of.name, &pod.uid)]),
            ..ObjectMeta::default()
        },
        spec: MeshEndpointSpec {
            ips: pod.ips.iter().map(ToString::to_string).collect(),
            identity: identity.to_string(),
            node: pod.node.clone(),
        },
    })
}

#[cfg(test)]
mod tests;
