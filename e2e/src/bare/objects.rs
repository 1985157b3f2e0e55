//! (shell) Pods and Services as objects of the API, written as kubelet and controllers would.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tulle_core::sidecar::PROXY_CONTAINER;

use super::ControlPlane;
use crate::{Kubectl, wait};

/// The operator needs milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// A pod.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Name of the pod and of its ServiceAccount.
    pub name: String,
    /// Value of its label `app`, which Services select by.
    pub app: String,
    /// Its addresses, one a family.
    pub addresses: Vec<IpAddr>,
    /// Whether it has a sidecar.
    pub meshed: bool,
}

/// A Service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Value of the label `app` of its pods.
    pub app: String,
    /// Its cluster addresses, one a family; none: headless.
    pub addresses: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone)]
pub struct ServicePort {
    /// Its name; a protocol's name in front of a dash declares the protocol.
    pub name: String,
    /// Its number, at the Service and at the pods.
    pub number: u16,
    /// The protocol it declares.
    pub protocol: Option<String>,
}

/// Writes pods, Services and their endpoints, then `rules`, and waits until the operator has published them.
pub fn register(
    plane: &ControlPlane,
    namespace: &str,
    workloads: &[Workload],
    services: &[Service],
    rules: &[Value],
) -> Result<()> {
    plane.kubectl(|kubectl| {
        let kubectl = kubectl.namespace(namespace, &[("tulle.dev/inject", "enabled")])?;
        let pods = workloads.iter().flat_map(pod).chain(services.iter().map(service)).collect();
        kubectl.apply(&list(pods))?;
        kubectl.apply_status(&list(workloads.iter().map(status).collect()))?;
        let slices = services.iter().flat_map(|service| slices(service, workloads));
        kubectl.apply(&list(slices.chain(rules.iter().cloned()).collect()))?;
        wait::until(DEADLINE, "the operator to publish the pods and Services", || {
            published(&kubectl, workloads, services)
        })
    })
}

/// Writes the endpoints of a Service anew: those of `workloads` that belong to it are ready, and there are no others.
pub fn set_endpoints(kubectl: &Kubectl, service: &Service, workloads: &[Workload]) -> Result<()> {
    kubectl.apply(&list(slices(service, workloads))).map(drop)
}

fn list(items: Vec<Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn pod(workload: &Workload) -> [Value; 2] {
    let name = &workload.name;
    let mut labels = json!({"app": workload.app});
    let mut sidecars = json!([]);
    if workload.meshed {
        labels["tulle.dev/injected"] = "true".into();
        sidecars = json!([{"name": PROXY_CONTAINER, "image": "none", "restartPolicy": "Always"}]);
    }
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {
                "serviceAccountName": name, "automountServiceAccountToken": false, "nodeName": format!("node-{name}"),
                "initContainers": sidecars, "containers": [{"name": "app", "image": "none"}],
            },
        }),
    ]
}

fn status(workload: &Workload) -> Value {
    let addresses: Vec<Value> = workload.addresses.iter().map(|address| json!({"ip": address})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": workload.name},
        "status": {
            "phase": "Running", "podIP": workload.addresses.first(), "podIPs": addresses,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn service(service: &Service) -> Value {
    let mut spec = json!({"selector": {"app": service.app}, "ports": ports(service, true)});
    spec["clusterIP"] = service.addresses.first().map_or_else(|| "None".into(), |address| json!(address));
    if service.addresses.len() > 1 {
        spec["clusterIPs"] = json!(service.addresses);
        spec["ipFamilyPolicy"] = "RequireDualStack".into();
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": service.name}, "spec": spec})
}

/// As a Service has them, or as its slices do.
fn ports(service: &Service, of_service: bool) -> Vec<Value> {
    let port = |port: &ServicePort| {
        let mut object = json!({"name": port.name, "port": port.number});
        if of_service {
            object["targetPort"] = port.number.into();
        }
        if let Some(protocol) = &port.protocol {
            object["appProtocol"] = protocol.as_str().into();
        }
        object
    };
    service.ports.iter().map(port).collect()
}

/// One for each family.
fn slices(service: &Service, workloads: &[Workload]) -> Vec<Value> {
    let slice = |family: &str, is_of: fn(&IpAddr) -> bool| {
        let members = workloads.iter().filter(|workload| workload.app == service.app);
        let endpoint = |workload: &Workload| {
            let address = workload.addresses.iter().find(|address| is_of(address))?;
            let pod = json!({"kind": "Pod", "name": workload.name});
            Some(json!({"addresses": [address], "conditions": {"ready": true}, "targetRef": pod}))
        };
        let endpoints: Vec<Value> = members.filter_map(endpoint).collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {
                "name": format!("{}-{}", service.name, family.to_lowercase()),
                "labels": {"kubernetes.io/service-name": service.name},
            },
            "ports": ports(service, false), "endpoints": endpoints,
        })
    };
    vec![slice("IPv4", IpAddr::is_ipv4), slice("IPv6", IpAddr::is_ipv6)]
}

/// Whether the operator has written what proxies look up.
fn published(kubectl: &Kubectl, workloads: &[Workload], services: &[Service]) -> Result<Option<()>> {
    let found = kubectl.get("meshservices,meshendpoints")?;
    let items = found["items"].as_array().context("a list without items")?;
    let of_kind = |kind: &'static str| items.iter().filter(move |item| item["kind"] == kind);
    let knows = |service: &Service| {
        let members =
            |meshed| workloads.iter().filter(move |one| one.app == service.app && one.meshed == meshed).count();
        let item = of_kind("MeshService").find(|item| item["metadata"]["name"] == service.name.as_str());
        item.is_some_and(|item| {
            let count = |list: &str| item["spec"][list].as_array().map_or(0, Vec::len);
            count("identities") == members(true) && count("outside") == members(false)
        })
    };
    let meshed = workloads.iter().filter(|workload| workload.meshed).count();
    Ok((services.iter().all(knows) && of_kind("MeshEndpoint").count() == meshed).then_some(()))
}
