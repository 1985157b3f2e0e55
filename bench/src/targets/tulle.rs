//! Tulle's own sidecars, with the control plane, the environment and the files that a pod would give them.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tulle_core::sidecar::env;
use tulle_e2e::bare::sidecar::{self, Sidecar};
use tulle_e2e::rooms::Room;

use super::{At, Class, Entries, Ground, Role, TUNABLES, Target};
use crate::mesh::{self, GRPC, HTTP, Pod, STREAM, TCP};
use crate::site::Site;

/// Which Tulle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// Whether connections are captured by the redirect, as in a cluster, or arrive at listening addresses, as with the peers.
    pub(crate) redirect: bool,
    /// Whether the key exchange is the shipped hybrid one.
    pub(crate) hybrid: bool,
    /// What it is compared in.
    pub(crate) class: Class,
}

/// All of them.
pub(crate) const VARIANTS: [Variant; 4] = [
    Variant { name: "tulle", redirect: false, hybrid: false, class: Class::Http },
    Variant { name: "tulle-redirect", redirect: true, hybrid: false, class: Class::Http },
    Variant { name: "tulle-hybrid", redirect: false, hybrid: true, class: Class::Handshake },
    Variant { name: "tulle-tcp", redirect: false, hybrid: false, class: Class::Bytes },
];

/// Starts server and sidecars and waits until both sidecars are ready.
pub(super) fn start(ground: &Ground<'_>, site: Site, variant: Variant) -> Result<Target> {
    let plane = ground.plane.context("Tulle was asked for without a control plane")?;
    let namespace = format!("bench-{}", site.number());
    mesh::register(plane, &namespace, &site)?;
    let at = if variant.redirect { At::Pod } else { At::Loopback };
    let server = ground.server(&site, at)?;
    let services: Vec<Ipv4Addr> = (0..3).map(|index| site.service(index)).collect();
    if variant.redirect {
        sidecar::redirect(&site.a, ground.proxy).and_then(|()| sidecar::redirect(&site.b, ground.proxy))?;
    } else {
        let script: String = services.iter().map(|address| format!("address add {address}/32 dev lo\n")).collect();
        site.a.ip(&script).context("cannot give the Services' addresses to node A")?;
    }
    let sidecar = |pod: Pod, room: &Room, role: Role, cpus| {
        let sidecar = Sidecar {
            plane,
            namespace: &namespace,
            pod: &pod.workload(&site),
            program: ground.proxy,
            root: &ground.folder.join(role.name()),
            variables: &variables(pod, &site, variant, ground.workers),
        };
        sidecar.start(room, &ground.folder, role.name(), cpus).map(|program| vec![program])
    };
    let inbound = sidecar(Pod::Server, &site.b, Role::Inbound, ground.b())?;
    let outbound = sidecar(Pod::Client, &site.a, Role::Outbound, ground.a())?;
    let entry = |port| Some(SocketAddr::from((site.service(0), port)));
    let bytes = entry(TCP);
    let entries = match variant.class {
        Class::Bytes => Entries { http: bytes, fresh: bytes, ..Entries::default() },
        // An HTTP port always pools; a port of bytes makes a handshake for each connection.
        _ => Entries { http: entry(HTTP), grpc: entry(GRPC), stream: entry(STREAM), fresh: bytes },
    };
    let programs = [(Role::Outbound, outbound), (Role::Inbound, inbound), (Role::Server, server)].into();
    let port = if variant.class == Class::Bytes { TCP } else { HTTP };
    let mtls = Some(SocketAddr::from((site.pod_b(), port)));
    let alpn = Some(if variant.class == Class::Bytes { "tulle/tcp" } else { "tulle/h1" });
    let (name, class) = (variant.name.to_owned(), variant.class);
    let mut target = Target { name, folder: ground.folder.clone(), class, site, entries, mtls, alpn, programs };
    wait_until_ready(&mut target)?;
    Ok(target)
}

fn wait_until_ready(target: &mut Target) -> Result<()> {
    for room in [target.site.a.clone(), target.site.b.clone()] {
        sidecar::wait_until_ready(&room, || target.check()).map_err(|error| target.explain(&error))?;
    }
    Ok(())
}

/// How the proxy is reached, and what all targets have in common.
fn variables(pod: Pod, site: &Site, variant: Variant, workers: usize) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    let mut variables = vec![
        (env::WORKERS, workers.to_string()),
        (env::KEY_EXCHANGE, text(if variant.hybrid { "hybrid" } else { "x25519" })),
        (TUNABLES.0, text(TUNABLES.1)),
    ];
    if !variant.redirect {
        let ports = [HTTP, GRPC, STREAM, TCP];
        variables.push((env::CAPTURE, text("listen")));
        variables.push(match pod {
            Pod::Client => (env::LISTEN_OUTBOUND, ports.map(|port| format!("{}:{port}", site.service(0))).join(",")),
            Pod::Server => (
                env::LISTEN_INBOUND,
                ports.map(|port| format!("{}:{port}={}", site.pod_b(), At::Loopback.socket(site, port))).join(","),
            ),
        });
    }
    variables
}
