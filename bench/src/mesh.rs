//! The pods and Services of a site, and what a user would have written about them.

use std::net::IpAddr;

use anyhow::Result;
use serde_json::{Value, json};
use tulle_e2e::bare::{ControlPlane, Service, ServicePort, Workload, objects};

use crate::site::Site;

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
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// As the API knows it.
    pub(crate) fn workload(self, site: &Site) -> Workload {
        let address = match self {
            Self::Client => site.pod_a(),
            Self::Server => site.pod_b(),
        };
        let name = self.name().to_owned();
        Workload { app: name.clone(), name, addresses: vec![IpAddr::from(address)], meshed: true }
    }
}

/// Writes everything a site needs and waits until the operator has answered.
pub(crate) fn register(plane: &ControlPlane, namespace: &str, site: &Site) -> Result<()> {
    let workloads = [Pod::Client, Pod::Server].map(|pod| pod.workload(site));
    let port = |name: &str, number: u16, protocol: &str| ServicePort {
        name: name.to_owned(),
        number,
        protocol: Some(protocol.to_owned()),
    };
    let ports = [
        port("http", HTTP, "http"),
        port("grpc", GRPC, "grpc"),
        port("stream", STREAM, "grpc"),
        port("bytes", TCP, "tcp"),
    ];
    let services: Vec<Service> = (0u8..)
        .zip(SERVICES)
        .map(|(index, name)| Service {
            name: name.to_owned(),
            app: Pod::Server.name().to_owned(),
            addresses: vec![site.service(index).into()],
            ports: ports.to_vec(),
        })
        .collect();
    objects::register(plane, namespace, &workloads, &services, &rules(namespace))
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
