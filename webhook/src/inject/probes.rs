//! Kubelet probes, redirected to the proxy's prober.
//!
//! The kubelet speaks plaintext and has no mesh identity, so under STRICT its probes would be refused; and a TCP probe
//! of a captured port would always succeed, because the proxy accepts the connection. The proxy therefore answers on
//! its own port and runs the real check against the application.

use super::pod::{Container, Pod};
use serde_json::{Value, json};
use tulle_core::sidecar::{self, Probe, ProbeAction, ProbeTable};

/// The probe fields of a container.
const FIELDS: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
/// `timeoutSeconds` where unset (core/v1 Probe).
const DEFAULT_TIMEOUT_SECONDS: u32 = 1;

/// A probe that has to be asked through the proxy.
#[derive(Debug, PartialEq)]
pub struct Rewrite {
    /// JSON pointer tokens of the field in the pod.
    pub tokens: [String; 4],
    /// What stands there afterwards.
    pub replacement: Value,
}

/// Every network probe of the pod's own containers: what the kubelet shall ask, and what the proxy shall then ask.
pub fn rewrite(pod: Pod<'_>) -> (Vec<Rewrite>, ProbeTable) {
    let mut rewrites = Vec::new();
    let mut table = ProbeTable::new();
    for (container, field, probe) in network_probes(pod) {
        let Some(original) = parse(container, probe) else { continue };
        let key = format!("{}/{field}", container.name());
        rewrites.push(Rewrite {
            tokens: ["spec".into(), container.list.into(), container.index.to_string(), field.into()],
            replacement: through_proxy(probe, &key),
        });
        table.insert(key, original);
    }
    (rewrites, table)
}

/// Ports that probes of the pod ask, with the place of the probe for messages.
pub fn ports(pod: Pod<'_>) -> impl Iterator<Item = (String, u16)> {
    network_probes(pod).filter_map(|(container, field, probe)| {
        let port = match parse(container, probe)?.action {
            ProbeAction::HttpGet { port, .. } | ProbeAction::TcpSocket { port } | ProbeAction::Grpc { port, .. } => {
                port
            }
        };
        Some((format!("{}.{field} of container {}", container.list, container.name()), port))
    })
}

/// Warnings for probes that stay as they are although they are network probes: the user should know why they may fail.
pub fn warnings(pod: Pod<'_>) -> impl Iterator<Item = String> {
    network_probes(pod).filter(|(container, _, probe)| parse(*container, probe).is_none()).map(|(container, field, _)| {
        format!(
            "container {}: {field} is left as it is: it names a host of its own, or a port the container does not declare",
            container.name()
        )
    })
}

fn network_probes(pod: Pod<'_>) -> impl Iterator<Item = (Container<'_>, &'static str, &Value)> {
    pod.containers().filter(|container| container.is_long_running()).flat_map(|container| {
        FIELDS.into_iter().filter_map(move |field| {
            let probe = &container.value[field];
            let network = ["httpGet", "tcpSocket", "grpc"].iter().any(|action| probe[action].is_object());
            network.then_some((container, field, probe))
        })
    })
}

/// The probe as the proxy will run it. `None` where the proxy cannot stand in: a probe with a `host` of its own asks
/// something else than this pod, and an unknown port name fails at the kubelet with a message of its own.
fn parse(container: Container<'_>, probe: &Value) -> Option<Probe> {
    let timeout = probe["timeoutSeconds"].as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    let action = if probe["httpGet"].is_object() {
        http_get(container, &probe["httpGet"])?
    } else if probe["tcpSocket"].is_object() {
        own_host(&probe["tcpSocket"])?;
        ProbeAction::TcpSocket { port: container.resolve_port(&probe["tcpSocket"]["port"])? }
    } else {
        ProbeAction::Grpc {
            port: container.resolve_port(&probe["grpc"]["port"])?,
            service: text(&probe["grpc"]["service"]),
        }
    };
    Some(Probe { action, timeout_seconds: timeout.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_TIMEOUT_SECONDS) })
}

fn http_get(container: Container<'_>, get: &Value) -> Option<ProbeAction> {
    own_host(get)?;
    let path = text(&get["path"]);
    let headers = get["httpHeaders"].as_array().into_iter().flatten();
    Some(ProbeAction::HttpGet {
        port: container.resolve_port(&get["port"])?,
        path: if path.starts_with('/') { path } else { format!("/{path}") },
        https: get["scheme"] == "HTTPS",
        headers: headers.map(|header| (text(&header["name"]), text(&header["value"]))).collect(),
    })
}

/// Everything of the user's probe but its action: periods, thresholds and fields of newer Kubernetes versions stay.
fn through_proxy(probe: &Value, key: &str) -> Value {
    let mut replacement = probe.clone();
    if let Some(fields) = replacement.as_object_mut() {
        fields.retain(|name, _| !["httpGet", "tcpSocket", "grpc"].contains(&name.as_str()));
        let path = format!("{}/{key}", sidecar::PROBE_PATH_PREFIX);
        fields.insert("httpGet".into(), json!({"path": path, "port": sidecar::HEALTH_PORT}));
    }
    replacement
}

fn own_host(action: &Value) -> Option<()> {
    action["host"].as_str().unwrap_or("").is_empty().then_some(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}
