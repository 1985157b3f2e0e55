//! Every kind of call from every kind of client to every kind of server, in both families, generated: seven protocols, of which none is
//! declared, from pods with and without a sidecar, to pods with a sidecar (by Service, by headless Service and pod address, with and
//! without plaintext being let in), without one, and outside the cluster. Beside them the ways past the inbound side: the sidecar's own
//! ports, and an application that listens on loopback alone (T11 in docs/threats.md).
//!
//! A capture at each server tells what crossed the wire: between sidecars never the message, without one always.
//!
//! Fails when: a call that should work does not, one that should be refused is served, or what is said between sidecars can be read.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Result;
use serde_json::json;
use tulle_conformance::{Context, Plan, Pod, Site};
use tulle_core::sidecar::{ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT};
use tulle_e2e::host;
use tulle_e2e::matrix::{Cell, Fate, IsOf, LOOPBACK, PORTS, Peers, TLS, each, past};

/// Pods that serve: with a sidecar, with one that lets plaintext in, without, and outside the cluster.
const SERVERS: [&str; 4] = ["strict", "open", "plain", "outside"];

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let ports = PORTS.map(|port| (port, None));
    let plan = Plan::new().meshed("meshed").unmeshed("unmeshed").meshed("strict").meshed("open").unmeshed("plain");
    let plan = plan.outside("outside").headless("headless", "strict", &ports);
    let plan = plan.service("strict", "strict", &ports).service("plain", "plain", &ports).rules([json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "open"},
        "spec": {"selector": {"matchLabels": {"app": "open"}}, "mtls": {"mode": "PERMISSIVE"}},
    })]);
    let site = context.site(&plan)?;
    let peers = Peers::write(&context.folder().join("peers"))?;
    let mut captures = BTreeMap::new();
    for name in SERVERS {
        let pod = site.pod(name)?;
        serve(context, &peers, pod)?;
        captures.insert(name, peers.capture(pod.room(), name, pod.at(PORTS[0]))?);
    }
    let room = |client| Ok::<_, anyhow::Error>(site.pod(client)?.room().clone());
    let calls =
        [("meshed", room("meshed")?, from_meshed(&site)?), ("unmeshed", room("unmeshed")?, from_unmeshed(&site)?)];
    peers.check(&calls, &captures, &room("unmeshed")?)
}

fn serve(context: &Context<'_>, peers: &Peers, pod: &Pod) -> Result<()> {
    let mut app = Command::new(context.app());
    app.args(["serve", "--port", &PORTS[0].to_string()]);
    pod.serve("app", app, PORTS[0])?;
    pod.serve("tls", peers.tls_server(), TLS)?;
    pod.serve("loopback", peers.loopback_server(), LOOPBACK)
}

fn from_meshed(site: &Site<'_>) -> Result<Vec<Cell>> {
    let pod = |name| move |port, is_of: IsOf| Ok(site.pod(name)?.at_in(port, is_of));
    let service = |name| move |port, is_of: IsOf| site.service_in(name, port, is_of);
    let mut cells = each("meshed-service", "strict", Fate::Hidden, service("strict"))?;
    // The name of a headless Service is the addresses of its pods.
    cells.extend(each("meshed-headless", "strict", Fate::Hidden, pod("strict"))?);
    cells.extend(each("meshed-open", "open", Fate::Hidden, pod("open"))?);
    cells.extend(each("meshed-plain-service", "plain", Fate::Open, service("plain"))?);
    cells.extend(each("meshed-plain-pod", "plain", Fate::Open, pod("plain"))?);
    cells.extend(each("meshed-outside", "outside", Fate::Open, pod("outside"))?);
    cells.push(past("meshed", "open", site.pod("open")?.at(LOOPBACK)));
    Ok(cells)
}

fn from_unmeshed(site: &Site<'_>) -> Result<Vec<Cell>> {
    let pod = |name| move |port, is_of: IsOf| Ok(site.pod(name)?.at_in(port, is_of));
    let mut cells = each("unmeshed-strict", "strict", Fate::Denied, pod("strict"))?;
    cells.extend(each("unmeshed-open", "open", Fate::Open, pod("open"))?);
    cells.extend(each("unmeshed-plain", "plain", Fate::Open, pod("plain"))?);
    cells.extend(each("unmeshed-outside", "outside", Fate::Open, pod("outside"))?);
    for port in [LOOPBACK, ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT] {
        cells.push(past("unmeshed", "open", site.pod("open")?.at(port)));
    }
    Ok(cells)
}
