//! The calls of the conformance suite's matrix on a real cluster: kube-proxy, the network plugin, the injector and the kubelet are in their
//! way. Seven protocols in both families, from pods with and without a sidecar and from outside, to pods with a sidecar (by Service, by
//! address as of a headless one, with and without plaintext being let in), without one, and outside the cluster; and the ways past the
//! inbound side (T11 in docs/threats.md): pod address, NodePort, host port, an application on loopback alone, the sidecar's own ports.
//!
//! Fails when: a call that should work does not, one that should be refused is served, or what is said between sidecars can be read.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_core::sidecar::{ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT};
use tulle_e2e::app::{self, App};
use tulle_e2e::matrix::{Cell, Fate, IsOf, LOOPBACK, PORTS, Peers, TLS, each, past};
use tulle_e2e::{host, images, pods};

use crate::beside::Beside;
use crate::context::Context;

/// Pods that serve, and what is added to a port of theirs to make it one of the node: with a sidecar, with one that lets plaintext in.
const MESHED: [(&str, u16); 2] = [("strict", 10_000), ("open", 20_000)];

pub(crate) fn run(context: &Context) -> Result<()> {
    host::ensure(host::STOCK)?;
    deploy(context)?;
    let beside = Beside::new(context)?;
    let peers = Peers::write(&beside.folder().join("peers"))?;
    let outside = beside.outside(context)?;
    let place = Place::find(context, outside.addresses)?;
    let mut app = Command::new(images::compile(&["tulle-e2e-app"])?.join("tulle-e2e-app"));
    app.args(["serve", "--port", &PORTS[0].to_string()]);
    let mut programs = vec![beside.serve(&outside.room, "outside-app", app, PORTS[0])?];
    let mut captures = BTreeMap::new();
    for server in ["strict", "open", "plain", "outside"] {
        let room = if server == "outside" { outside.room.clone() } else { beside.pod(context, server)? };
        programs.push(beside.serve(&room, &format!("{server}-tls"), peers.tls_server(), TLS)?);
        programs.push(beside.serve(&room, &format!("{server}-loopback"), peers.loopback_server(), LOOPBACK)?);
        captures.insert(server, peers.capture(&room, server, place.pod(server, PORTS[0], IpAddr::is_ipv4)?)?);
    }
    let calls = [
        ("meshed", beside.pod(context, "meshed")?, place.meshed_calls()?),
        ("unmeshed", beside.pod(context, "unmeshed")?, place.unmeshed_calls()?),
        ("outside", outside.room.clone(), place.outside_calls()?),
    ];
    peers.check(&calls, &captures, &outside.room)
}

fn deploy(context: &Context) -> Result<()> {
    for (name, mode) in [("strict", "STRICT"), ("open", "PERMISSIVE")] {
        context.apply(&json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "mtls": {"mode": mode}},
        }))?;
    }
    let mut headless = service("headless", "strict", "ClusterIP");
    headless["spec"]["clusterIP"] = json!("None");
    context.apply(&app::list(vec![
        service("strict", "strict", "NodePort"),
        service("open", "open", "NodePort"),
        service("plain", "plain", "ClusterIP"),
        headless,
    ]))?;
    let meshed = MESHED.map(|(name, added)| {
        let ports = PORTS.map(|port| (port, port + added));
        (name, App::server(name).service_account(name).host_ports(&ports))
    });
    let clients = [("meshed", App::idle("meshed")), ("unmeshed", App::idle("unmeshed").unmeshed())];
    let plain = ("plain", App::server("plain").unmeshed());
    context.deploy(&meshed.into_iter().chain(clients).chain([plain]).collect::<Vec<_>>())
}

/// A Service in both families; no port declares its protocol.
fn service(name: &str, app: &str, kind: &str) -> Value {
    let ports = PORTS.map(|port| json!({"name": format!("p{port}"), "port": port}));
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": kind, "selector": {"app": app}, "ipFamilyPolicy": "RequireDualStack", "ports": ports},
    })
}

/// Who has which addresses.
struct Place {
    servers: BTreeMap<&'static str, Vec<IpAddr>>,
    services: BTreeMap<&'static str, Value>,
    node: [IpAddr; 2],
}

impl Place {
    fn find(context: &Context, outside: [IpAddr; 2]) -> Result<Self> {
        let mut servers = BTreeMap::from([("outside", outside.to_vec())]);
        let mut services = BTreeMap::new();
        for name in ["strict", "open", "plain"] {
            let pod = pods::one(context.kubectl(), &format!("app={name}"))?;
            let addresses = pod["status"]["podIPs"].as_array().into_iter().flatten();
            servers.insert(name, addresses.filter_map(|address| address["ip"].as_str()?.parse().ok()).collect());
            services.insert(name, context.kubectl().get(&format!("service/{name}"))?["spec"].clone());
        }
        let (plan, node) = (context.cluster().addresses(), context.cluster().first_node());
        Ok(Self { servers, services, node: [node.address().into(), plan.node6(node.number()).into()] })
    }

    fn pod(&self, name: &str, port: u16, is_of: IsOf) -> Result<SocketAddr> {
        let address = self.servers[name].iter().copied().find(is_of);
        Ok(SocketAddr::new(address.with_context(|| format!("{name} has no address of this family"))?, port))
    }

    fn service(&self, name: &str, port: u16, is_of: IsOf) -> Result<SocketAddr> {
        let addresses = self.services[name]["clusterIPs"].as_array().into_iter().flatten();
        let address = addresses.filter_map(|address| address.as_str()?.parse().ok()).find(is_of);
        Ok(SocketAddr::new(address.with_context(|| format!("{name} has no cluster IP of this family"))?, port))
    }

    /// A port of the node, which kube-proxy leads to the Service.
    fn node_port(&self, name: &str, port: u16, is_of: IsOf) -> Result<SocketAddr> {
        let mut ports = self.services[name]["ports"].as_array().into_iter().flatten();
        let found = ports.find(|entry| entry["port"] == port).and_then(|entry| entry["nodePort"].as_u64());
        self.of_node(found.with_context(|| format!("port {port} of {name} has no NodePort"))?.try_into()?, is_of)
    }

    fn of_node(&self, port: u16, is_of: IsOf) -> Result<SocketAddr> {
        let address = self.node.iter().copied().find(is_of).context("a node has addresses of both families")?;
        Ok(SocketAddr::new(address, port))
    }

    fn meshed_calls(&self) -> Result<Vec<Cell>> {
        let pod = |name| move |port, is_of: IsOf| self.pod(name, port, is_of);
        let service = |name| move |port, is_of: IsOf| self.service(name, port, is_of);
        let mut cells = each("meshed-service", "strict", Fate::Hidden, service("strict"))?;
        // The name of a headless Service is the addresses of its pods.
        cells.extend(each("meshed-headless", "strict", Fate::Hidden, pod("strict"))?);
        cells.extend(each("meshed-open-service", "open", Fate::Hidden, service("open"))?);
        cells.extend(each("meshed-open-pod", "open", Fate::Hidden, pod("open"))?);
        cells.extend(each("meshed-plain-service", "plain", Fate::Open, service("plain"))?);
        cells.extend(each("meshed-plain-pod", "plain", Fate::Open, pod("plain"))?);
        cells.extend(each("meshed-outside", "outside", Fate::Open, pod("outside"))?);
        cells.push(past("meshed", "open", self.pod("open", LOOPBACK, IpAddr::is_ipv4)?));
        Ok(cells)
    }

    fn unmeshed_calls(&self) -> Result<Vec<Cell>> {
        let pod = |name| move |port, is_of: IsOf| self.pod(name, port, is_of);
        let service = |name| move |port, is_of: IsOf| self.service(name, port, is_of);
        let mut cells = each("unmeshed-plain", "plain", Fate::Open, pod("plain"))?;
        cells.extend(each("unmeshed-plain-service", "plain", Fate::Open, service("plain"))?);
        cells.extend(each("unmeshed-outside", "outside", Fate::Open, pod("outside"))?);
        cells.extend(self.ways_in("unmeshed")?);
        for (name, fate) in [("strict", Fate::Denied), ("open", Fate::Open)] {
            cells.extend(each(&format!("unmeshed-{name}-service"), name, fate, service(name))?);
        }
        Ok(cells)
    }

    fn outside_calls(&self) -> Result<Vec<Cell>> {
        self.ways_in("outside")
    }

    /// The ways around the Service, for callers without a sidecar: policy decides on all of them as on any other.
    fn ways_in(&self, client: &str) -> Result<Vec<Cell>> {
        let mut cells = Vec::new();
        for ((name, added), fate) in MESHED.into_iter().zip([Fate::Denied, Fate::Open]) {
            cells.extend(each(&format!("{client}-{name}-pod"), name, fate, |port, is_of| self.pod(name, port, is_of))?);
            let node_port = |port, is_of: IsOf| self.node_port(name, port, is_of);
            cells.extend(each(&format!("{client}-{name}-node-port"), name, fate, node_port)?);
            let host_port = |port, is_of: IsOf| self.of_node(port + added, is_of);
            cells.extend(each(&format!("{client}-{name}-host-port"), name, fate, host_port)?);
        }
        for port in [LOOPBACK, ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT] {
            cells.push(past(client, "open", self.pod("open", port, IpAddr::is_ipv4)?));
        }
        Ok(cells)
    }
}
