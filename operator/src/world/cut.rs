//! From objects of the API to the little that the world keeps of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use serde::{Deserialize, Serialize};
use tulle_core::sidecar::PROXY_CONTAINER;

use super::{Endpoint, Name, Pod, Port, Ref, Service, Slice};

/// Label by which a slice names its Service (well-known label).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A pod as it is read from the API server: the rest of it is skipped while parsing and never held.
pub type SlimPod = kube::core::Object<SlimPodSpec, SlimPodStatus>;

/// Of `spec`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimPodSpec {
    #[serde(default)]
    service_account_name: Option<String>,
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    init_containers: Vec<SlimContainer>,
}

/// Of a container.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SlimContainer {
    name: String,
}

/// Of `status`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimPodStatus {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default, rename = "podIPs")]
    pod_ips: Vec<SlimIp>,
}

/// Of `status.podIPs`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SlimIp {
    #[serde(default)]
    ip: String,
}

/// The name of a namespaced object.
pub fn reference(object: &impl Resource) -> Ref {
    let text = |text: &Option<String>| Name::from(text.as_deref().unwrap_or_default());
    Ref { namespace: text(&object.meta().namespace), name: text(&object.meta().name) }
}

/// A Service.
#[must_use]
pub fn service(service: core::Service) -> Service {
    let spec = service.spec.unwrap_or_default();
    let addresses = spec.cluster_ips.or_else(|| spec.cluster_ip.map(|address| vec![address])).unwrap_or_default();
    let headless = addresses.iter().any(|address| address == "None");
    let ports = spec
        .ports
        .unwrap_or_default()
        .into_iter()
        .filter(|port| matches!(port.protocol.as_deref(), None | Some("TCP")));
    Service {
        uid: service.metadata.uid.unwrap_or_default(),
        cluster_ips: addresses.into_iter().filter(|address| address != "None" && !address.is_empty()).collect(),
        headless,
        alias_of: spec.external_name.filter(|_| spec.type_.as_deref() == Some("ExternalName")),
        selector: spec.selector.unwrap_or_default(),
        ports: ports
            .filter_map(|port| {
                let number = u16::try_from(port.port).ok()?;
                Some(Port { name: port.name.unwrap_or_default(), port: number, app_protocol: port.app_protocol })
            })
            .collect(),
    }
}

/// An EndpointSlice.
#[must_use]
pub fn slice(slice: EndpointSlice) -> Slice {
    let namespace = slice.metadata.namespace;
    let service = slice.metadata.labels.unwrap_or_default().get(SERVICE_NAME).map(|name| Name::from(name.as_str()));
    let endpoints = slice.endpoints.into_iter().flatten().map(|endpoint| {
        let target = endpoint.target_ref.filter(|target| {
            let here = target.namespace.is_none() || target.namespace == namespace;
            target.kind.as_deref() == Some("Pod") && here
        });
        Endpoint {
            pod: target.and_then(|target| target.name).map(Name::from),
            address: endpoint.addresses.into_iter().next().unwrap_or_default(),
            // Absent means unknown, which consumers take for ready (discovery.k8s.io/v1, EndpointConditions).
            ready: endpoint.conditions.and_then(|conditions| conditions.ready).unwrap_or(true),
        }
    });
    Slice { service, endpoints: endpoints.collect() }
}

/// A pod. One on the host's network cannot be meshed, whatever it carries.
#[must_use]
pub fn pod(pod: SlimPod) -> Pod {
    let status = pod.status.unwrap_or_default();
    let carries_proxy = pod.spec.init_containers.iter().any(|container| container.name == PROXY_CONTAINER);
    Pod {
        uid: pod.metadata.uid.unwrap_or_default(),
        labels: pod.metadata.labels.unwrap_or_default(),
        service_account: pod.spec.service_account_name.unwrap_or_else(|| "default".to_owned()),
        node: pod.spec.node_name,
        ips: status.pod_ips.iter().filter_map(|ip| ip.ip.parse().ok()).collect(),
        meshed: carries_proxy && !pod.spec.host_network,
        ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
    }
}

/// Whether a namespace's labels ask for sidecars.
#[must_use]
pub fn asks_for_sidecars(labels: Option<&BTreeMap<String, String>>) -> bool {
    use tulle_crds::labels::{INJECT_ENABLED, INJECT_LABEL};
    labels.and_then(|labels| labels.get(INJECT_LABEL)).is_some_and(|value| value == INJECT_ENABLED)
}

/// A user's object without the bookkeeping of field managers, which is half its size and never asked for.
pub fn user<K: Resource>(mut object: K) -> Arc<K> {
    object.meta_mut().managed_fields = None;
    Arc::new(object)
}

#[cfg(test)]
mod tests;
