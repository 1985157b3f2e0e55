//! Pods that cannot work with a sidecar. They are refused with what to do, instead of starting outside the mesh or
//! breaking later.

use super::pod::Pod;
use super::{Origin, probes};
use serde_json::Value;
use tulle_core::codes::Code;
use tulle_core::sidecar::{self, OWN_PORTS, PROXY_UID};

/// Why a pod is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Catalogue code.
    pub code: Code,
    /// What is wrong with this pod.
    pub reason: String,
}

impl Refusal {
    /// A refusal; the remedy is the code's own.
    pub fn new(code: Code, reason: impl Into<String>) -> Refusal {
        Refusal { code, reason: reason.into() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}; {}", self.code.as_str(), self.reason, self.code.remedy())
    }
}

/// The first thing that keeps this pod from working in the mesh. The order goes from what the user can change least to
/// what is changed easily.
pub fn obstacle(pod: Pod<'_>, origin: Origin) -> Option<Refusal> {
    windows(pod)
        .or_else(|| host_network(pod))
        .or_else(|| pod_security(origin))
        .or_else(|| reserved_name(pod))
        .or_else(|| proxy_user(pod))
        .or_else(|| own_port(pod))
}

fn windows(pod: Pod<'_>) -> Option<Refusal> {
    let windows = pod.spec("os")["name"] == "windows" || pod.spec("nodeSelector")["kubernetes.io/os"] == "windows";
    windows.then(|| Refusal::new(Code::InjectWindows, "the pod runs on Windows, where traffic cannot be captured"))
}

/// The redirect would capture the node's own traffic.
fn host_network(pod: Pod<'_>) -> Option<Refusal> {
    let shared = pod.spec("hostNetwork") == true;
    shared.then(|| Refusal::new(Code::InjectHostNetwork, "the pod uses hostNetwork, so its traffic is the node's own"))
}

fn pod_security(origin: Origin) -> Option<Refusal> {
    let reason = "the namespace enforces Pod Security \"baseline\" or \"restricted\", which refuse the capability NET_ADMIN that the \
                  redirect init container needs";
    origin.confined.then(|| Refusal::new(Code::InjectPodSecurity, reason))
}

/// Reached only by pods that are not injected: one of our names is then a left-over or a clash.
fn reserved_name(pod: Pod<'_>) -> Option<Refusal> {
    let containers = [sidecar::PROXY_CONTAINER, sidecar::REDIRECT_CONTAINER];
    let volumes = [sidecar::API_VOLUME, sidecar::IDENTITY_VOLUME, sidecar::POD_VOLUME];
    let of_container = containers.into_iter().find(|name| pod.has_container(name)).map(|name| ("container", name));
    let has_volume =
        |name: &str| pod.spec("volumes").as_array().into_iter().flatten().any(|volume| volume["name"] == name);
    let (kind, name) =
        of_container.or_else(|| volumes.into_iter().find(|name| has_volume(name)).map(|name| ("volume", name)))?;
    Some(Refusal::new(Code::InjectReservedName, format!("the pod already has a {kind} named {name}")))
}

/// The proxy's own sockets bypass the redirect, so whoever shares its user or group leaves the mesh unseen.
fn proxy_user(pod: Pod<'_>) -> Option<Refusal> {
    runs_as_proxy("spec", &pod.0["spec"]).or_else(|| {
        pod.containers().find_map(|container| {
            runs_as_proxy(&format!("spec.{}[{}]", container.list, container.index), container.value)
        })
    })
}

/// The same for debug containers, which join a pod that runs already.
pub fn ephemeral_obstacle(pod: Pod<'_>) -> Option<Refusal> {
    let containers = pod.spec("ephemeralContainers").as_array().into_iter().flatten();
    containers.enumerate().find_map(|(index, it)| runs_as_proxy(&format!("spec.ephemeralContainers[{index}]"), it))
}

fn runs_as_proxy(place: &str, pod_or_container: &Value) -> Option<Refusal> {
    let context = &pod_or_container["securityContext"];
    let field = ["runAsUser", "runAsGroup"].into_iter().find(|field| context[field] == PROXY_UID)?;
    let reason = format!("{place}.securityContext.{field} is {PROXY_UID}, which is the proxy's own");
    Some(Refusal::new(Code::InjectProxyUser, reason))
}

/// A port of the proxy, used by the application or asked by a probe: the proxy would collide with it, or probe itself.
fn own_port(pod: Pod<'_>) -> Option<Refusal> {
    let declared = pod.containers().flat_map(|container| {
        container
            .ports()
            .filter(|port| port["protocol"] != "UDP")
            .filter_map(move |port| Some((format!("container {}", container.name()), number(&port["containerPort"])?)))
    });
    let (place, port) = declared.chain(probes::ports(pod)).find(|(_, port)| OWN_PORTS.contains(port))?;
    Some(Refusal::new(Code::InjectOwnPort, format!("{place} uses port {port}, which is the proxy's own")))
}

fn number(port: &Value) -> Option<u16> {
    port.as_u64().and_then(|port| u16::try_from(port).ok())
}

#[cfg(test)]
mod tests;
