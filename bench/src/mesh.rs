//! (shell) The pods and Services of a site as objects of the API, written as kubelet and controllers would, and the files that a
//! kubelet gives a sidecar.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tulle_core::sidecar::{API_DIR, IDENTITY_AUDIENCE, IDENTITY_DIR, POD_DIR, PROXY_CONTAINER};
use tulle_e2e::{Kubectl, wait};

use crate::control_plane::ControlPlane;
use crate::site::Site;

/// Longer than any run: there is no kubelet to renew a token.
const TOKEN_LIFE: &str = "4h";
/// The operator needs milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);
/// Services of a site: the one that is called, and the two it is split over.
const SERVICES: [&str; 3] = ["app", "app-v1", "app-v2"];

/// A Service's port: number, name, and the protocol it declares.
pub(crate) const HTTP: u16 = 8080;
/// The same for HTTP/2 and gRPC.
pub(crate) const GRPC: u16 = 8081;
/// The same for bytes.
pub(crate) const TCP: u16 = 8082;
/// The same for gRPC, where the server streams.
pub(crate) const STREAM: u16 = 8083;

/// Which pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pod {
    /// In A, the caller.
    Client,
    /// In B.
    Server,
}

impl Pod {
    /// Name of the pod and of its ServiceAccount.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// Its address.
    pub(crate) fn address(self, site: &Site) -> std::net::Ipv4Addr {
        match self {
            Self::Client => site.pod_a(),
            Self::Server => site.pod_b(),
        }
    }
}

/// Writes everything a site needs and waits until the operator has answered.
pub(crate) fn register(plane: &ControlPlane, namespace: &str, site: &Site) -> Result<()> {
    plane.kubectl(|kubectl| {
        let kubectl = kubectl.namespace(namespace, &[("tulle.dev/inject", "enabled")])?;
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": workloads(site)}).to_string())?;
        for pod in [Pod::Client, Pod::Server] {
            kubectl.run([
                "patch",
                "pod",
                pod.name(),
                "--subresource=status",
                "--type=merge",
                "-p",
                &status(pod, site),
            ])?;
        }
        let items = [slices(site), rules(namespace)].concat();
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())?;
        wait::until(DEADLINE, "the operator to publish the pods and Services", || published(&kubectl))
    })
}

fn published(kubectl: &Kubectl) -> Result<Option<()>> {
    let identities = |service: &str| {
        Ok::<_, anyhow::Error>(kubectl.get(&format!("meshservice/{service}"))?["spec"]["identities"] != json!([]))
    };
    for service in SERVICES {
        if !identities(service)? {
            return Ok(None);
        }
    }
    let endpoints = kubectl.get("meshendpoints")?;
    Ok(endpoints["items"].as_array().is_some_and(|items| items.len() == 2).then_some(()))
}

fn workloads(site: &Site) -> Vec<Value> {
    let mut items = Vec::new();
    for pod in [Pod::Client, Pod::Server] {
        let name = pod.name();
        items.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}));
        items.push(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name, "tulle.dev/injected": "true"}},
            "spec": {
                "serviceAccountName": name, "automountServiceAccountToken": false, "nodeName": format!("node-{name}"),
                "initContainers": [{"name": PROXY_CONTAINER, "image": "none", "restartPolicy": "Always"}],
                "containers": [{"name": "app", "image": "none"}],
            },
        }));
    }
    for (index, name) in (0u8..).zip(SERVICES) {
        let port = |name: &str, number: u16, protocol: &str| json!({"name": name, "port": number, "targetPort": number, "appProtocol": protocol});
        items.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {
                "clusterIP": site.service(index).to_string(), "selector": {"app": Pod::Server.name()},
                "ports": [port("http", HTTP, "http"), port("grpc", GRPC, "grpc"), port("stream", STREAM, "grpc"),
                          port("bytes", TCP, "tcp")],
            },
        }));
    }
    items
}

fn status(pod: Pod, site: &Site) -> String {
    let address = pod.address(site).to_string();
    json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }})
    .to_string()
}

fn slices(site: &Site) -> Vec<Value> {
    let slice = |service: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "ports": [
                {"name": "http", "port": HTTP, "appProtocol": "http"},
                {"name": "grpc", "port": GRPC, "appProtocol": "grpc"},
                {"name": "stream", "port": STREAM, "appProtocol": "grpc"},
                {"name": "bytes", "port": TCP, "appProtocol": "tcp"},
            ],
            "endpoints": [{
                "addresses": [site.pod_b().to_string()], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": Pod::Server.name()},
            }],
        })
    };
    SERVICES.map(slice).into()
}

/// What a user would have written: a route with a condition, weights, a split, strict mTLS and a rule that allows the caller.
fn rules(namespace: &str) -> Vec<Value> {
    let api = "tulle.dev/v1alpha1";
    let to = |host: &str, weight: u32| json!({"destination": {"host": host}, "weight": weight});
    vec![
        json!({
            "apiVersion": api, "kind": "VirtualService", "metadata": {"name": "app"},
            "spec": {"hosts": ["app"], "http": [
                {"name": "testers", "match": [{"uri": {"prefix": "/beta"}, "headers": {"x-tester": {"exact": "yes"}}}],
                 "route": [{"destination": {"host": "app-v2"}}]},
                {"name": "all", "route": [to("app", 80), to("app-v1", 20)]},
            ]},
        }),
        json!({
            "apiVersion": api, "kind": "TrafficSplit", "metadata": {"name": "app"},
            "spec": {"service": "app", "backends": [
                {"service": "app-v1", "weight": 90}, {"service": "app-v2", "weight": 10},
            ]},
        }),
        json!({
            "apiVersion": api, "kind": "MeshPolicy", "metadata": {"name": "app"},
            "spec": {
                "selector": {"matchLabels": {"app": Pod::Server.name()}}, "mtls": {"mode": "STRICT"},
                "authorization": {"action": "ALLOW", "rules": [
                    {"from": [{"source": {"serviceAccounts": [format!("{namespace}/{}", Pod::Client.name())]}}]},
                ]},
            },
        }),
    ]
}

/// Makes the folder a sidecar sees as its root: the program, its tokens, and the pod's labels.
pub(crate) fn jail(plane: &ControlPlane, namespace: &str, pod: Pod, program: &Path, folder: &Path) -> Result<PathBuf> {
    let name = pod.name();
    let (api, identity) = plane.kubectl(|kubectl| {
        let kubectl = kubectl.namespaced(namespace);
        let uid =
            kubectl.get(&format!("pod/{name}"))?["metadata"]["uid"].as_str().context("a pod without uid")?.to_owned();
        let bound = ["--bound-object-kind=Pod", "--duration", TOKEN_LIFE];
        let bound_to = [format!("--bound-object-name={name}"), format!("--bound-object-uid={uid}")];
        let token = |audience: &[&str]| {
            let bound_to = bound_to.iter().map(String::as_str);
            kubectl
                .run(["create", "token", name].into_iter().chain(bound).chain(bound_to).chain(audience.iter().copied()))
        };
        Ok((token(&[])?, token(&["--audience", IDENTITY_AUDIENCE])?))
    })?;
    let labels = format!("app=\"{name}\"\n");
    let write = |directory: &str, file: &str, text: &str| {
        let directory = folder.join(directory.trim_start_matches('/'));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(file), text)
    };
    write(API_DIR, "token", api.trim())?;
    write(API_DIR, "ca.crt", &plane.root)?;
    write(IDENTITY_DIR, "token", identity.trim())?;
    write(POD_DIR, "labels", &labels)?;
    fs::create_dir_all(folder.join("proc"))?;
    let copy = folder.join("tulle-proxy");
    // One file for all, as on a node: its pages are then shared.
    if fs::hard_link(program, &copy).is_err() {
        fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder.to_owned())
}
