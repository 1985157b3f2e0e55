//! Tulle's own sidecars, with the control plane, the environment and the files that a pod would give them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tulle_core::sidecar::{HEALTH_PORT, ISSUER_PORT, PROXY_UID, env};
use tulle_e2e::http::{self, Machine, Request};
use tulle_e2e::{command, wait};

use super::{At, Class, Entries, Ground, Role, TUNABLES, Target};
use crate::control_plane::{API_PORT, SYSTEM};
use crate::mesh::{self, GRPC, HTTP, Pod, STREAM, TCP};
use crate::program::Program;
use crate::rooms::Room;
use crate::site::{HUB, Site};

/// Certificates are issued in milliseconds; a busy machine may take seconds.
const DEADLINE: Duration = Duration::from_secs(60);

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
        redirect(&site.a, ground.proxy).and_then(|()| redirect(&site.b, ground.proxy))?;
    } else {
        let script: String = services.iter().map(|address| format!("address add {address}/32 dev lo\n")).collect();
        site.a.ip(&script).context("cannot give the Services' addresses to node A")?;
    }
    let sidecar = |pod: Pod, room: &Room, role: Role, cpus| {
        let folder = ground.folder.join(pod.name());
        let root = mesh::jail(plane, &namespace, pod, ground.proxy, &folder)?;
        mount_proc(room, &root)?;
        let mut proxy = jailed(room, &root);
        proxy.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        proxy.envs(environment(&namespace, pod, &site, variant, ground.workers));
        Program::start(room, &ground.folder, role.name(), proxy, cpus).map(|program| vec![program])
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
        let ready = wait::until(DEADLINE, "a sidecar to be ready", || {
            target.check()?;
            let address = (Ipv4Addr::LOCALHOST, HEALTH_PORT).into();
            let answer = room.run(|| http::exchange(&Machine, address, &Request::new("GET", "/ready")))?;
            if answer.status != 200 {
                bail!("it says {}", String::from_utf8_lossy(&answer.body));
            }
            Ok(Some(()))
        });
        ready.map_err(|error| target.explain(&error))?;
    }
    Ok(())
}

/// Programs the redirect of a node, as the init container does.
fn redirect(room: &Room, proxy: &Path) -> Result<()> {
    room.run(|| command::run(Command::new(proxy).arg("redirect")).map(drop)).context("cannot program the redirect")
}

/// jemalloc asks /proc whether memory is overcommitted, and does more work when it finds no answer.
fn mount_proc(room: &Room, root: &Path) -> Result<()> {
    let mut mount = room.among_mounts("mount");
    command::run(mount.args(["-t", "proc", "proc"]).arg(root.join("proc"))).map(drop)
}

fn jailed(room: &Room, root: &Path) -> Command {
    let mut chroot = room.among_mounts("chroot");
    chroot.arg(format!("--userspec={PROXY_UID}:{PROXY_UID}")).arg(root).args(["/tulle-proxy", "run"]);
    chroot
}

/// What the webhook would write, and how the proxy is reached.
fn environment(
    namespace: &str,
    pod: Pod,
    site: &Site,
    variant: Variant,
    workers: usize,
) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    let mut variables = vec![
        (env::POD_NAME, text(pod.name())),
        (env::POD_NAMESPACE, text(namespace)),
        (env::POD_IPS, pod.address(site).to_string()),
        (env::SERVICE_ACCOUNT, text(pod.name())),
        (env::WORKLOAD, format!("deployment/{}", pod.name())),
        (env::SYSTEM_NAMESPACE, text(SYSTEM)),
        (env::TRUST_DOMAIN, text("cluster.local")),
        (env::ISSUER, format!("{HUB}:{ISSUER_PORT}")),
        (env::DEFAULT_MTLS, text("STRICT")),
        (env::LOG, text("info")),
        (env::ACCESS_LOG, text("off")),
        (env::WORKERS, workers.to_string()),
        (env::CLUSTER_NETWORKS, text("10.200.0.0/13,10.224.0.0/16")),
        (env::KEY_EXCHANGE, text(if variant.hybrid { "hybrid" } else { "x25519" })),
        ("KUBERNETES_SERVICE_HOST", HUB.to_string()),
        ("KUBERNETES_SERVICE_PORT", API_PORT.to_string()),
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
