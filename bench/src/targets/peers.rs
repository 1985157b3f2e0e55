//! What the proxies that Tulle is compared with have in common: who listens where and connects where, in which protocol, with which
//! certificates. Each proxy's own file turns that into its configuration, as somebody who wants it to win would.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tulle_e2e::bare::certificates::{Authority, Subject};
use tulle_e2e::rooms::Program;

use super::{At, Class, Entries, Ground, Role, TUNABLES, Target, envoy, haproxy, nginx};
use crate::mesh::{GRPC, HTTP, STREAM, TCP};
use crate::site::Site;
use crate::tools::Tools;

/// They start in less than a second.
const DEADLINE: Duration = Duration::from_secs(30);
/// DNS name of the server's certificate.
const SERVER_NAME: &str = "server.bench.test";
/// Added to a port of the server's pod: where the inbound sidecar expects mTLS.
const MTLS: u16 = 400;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    Envoy,
    Haproxy,
    Nginx,
}

/// What the two sidecars speak to each other inside mTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Bytes,
}

/// A target of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its name in reports.
    pub(crate) name: &'static str,
    maker: Maker,
    protocol: Protocol,
}

const fn kind(name: &'static str, maker: Maker, protocol: Protocol) -> Kind {
    Kind { name, maker, protocol }
}

/// All of them.
pub(crate) const KINDS: [Kind; 8] = [
    kind("envoy-h1", Maker::Envoy, Protocol::Http1),
    kind("envoy-h2", Maker::Envoy, Protocol::Http2),
    kind("haproxy-h1", Maker::Haproxy, Protocol::Http1),
    kind("haproxy-h2", Maker::Haproxy, Protocol::Http2),
    kind("nginx", Maker::Nginx, Protocol::Http1),
    kind("envoy-tcp", Maker::Envoy, Protocol::Bytes),
    kind("haproxy-tcp", Maker::Haproxy, Protocol::Bytes),
    kind("nginx-tcp", Maker::Nginx, Protocol::Bytes),
];

impl Kind {
    /// Whether it carries bytes or requests.
    pub(crate) fn class(self) -> Class {
        if self.protocol == Protocol::Bytes { Class::Bytes } else { Class::Http }
    }

    /// Whether Envoy has to be there.
    pub(crate) fn needs_envoy(self) -> bool {
        self.maker == Maker::Envoy
    }
}

/// Which of the two sidecars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Outbound,
    Inbound,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Outbound => Role::Outbound.name(),
            Self::Inbound => Role::Inbound.name(),
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Outbound => Self::Inbound,
            Self::Inbound => Self::Outbound,
        }
    }

    /// Name of its certificate's files.
    pub(super) fn certificate(self) -> &'static str {
        match self {
            Self::Outbound => "client",
            Self::Inbound => "server",
        }
    }
}

/// One way through a sidecar.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    pub(super) name: &'static str,
    pub(super) listen: SocketAddr,
    pub(super) connect: SocketAddr,
    /// Whether HTTP/2 is spoken to where it connects.
    pub(super) http2: bool,
    /// Whether HTTP/2 is all that arrives.
    pub(super) grpc: bool,
    /// Whether no mTLS connection is used twice.
    pub(super) fresh: bool,
}

/// All ways through both sidecars.
pub(super) struct Wiring {
    pub(super) protocol: Protocol,
    outbound: Vec<Leg>,
    inbound: Vec<Leg>,
}

impl Wiring {
    fn new(site: &Site, protocol: Protocol) -> Self {
        let http2 = protocol == Protocol::Http2;
        let a = |port: u16| SocketAddr::from((site.pod_a(), port));
        let mtls = |port: u16| SocketAddr::from((site.pod_b(), port + MTLS));
        let leg = |name, listen, connect, http2, grpc| Leg { name, listen, connect, http2, grpc, fresh: false };
        let grpc = [("grpc", GRPC), ("stream", STREAM)];
        let server = |port| At::Loopback.socket(site, port);
        let mut outbound = vec![leg("http", a(HTTP), mtls(HTTP), http2, false)];
        let mut inbound = vec![leg("http", mtls(HTTP), server(HTTP), false, false)];
        if protocol != Protocol::Bytes {
            outbound.push(Leg { fresh: true, ..leg("fresh", a(TCP), mtls(HTTP), http2, false) });
            outbound.extend(grpc.map(|(name, port)| leg(name, a(port), mtls(port), true, true)));
            inbound.extend(grpc.map(|(name, port)| leg(name, mtls(port), server(port), true, true)));
        }
        Self { protocol, outbound, inbound }
    }

    /// Those of one side.
    pub(super) fn legs(&self, side: Side) -> impl Iterator<Item = &Leg> {
        match side {
            Side::Outbound => self.outbound.iter(),
            Side::Inbound => self.inbound.iter(),
        }
    }
}

/// What a proxy's configuration is made of, apart from the wiring.
pub(super) struct Peer<'a> {
    pub(super) folder: &'a Path,
    pub(super) authority: &'a Authority,
    pub(super) server_name: &'static str,
    pub(super) tools: &'a Tools,
    pub(super) workers: usize,
    pub(super) connections: u32,
}

/// The SPIFFE id in a certificate.
pub(super) fn spiffe_id(certificate: &str) -> String {
    format!("spiffe://bench.test/ns/bench/sa/{certificate}")
}

/// Makes the authority and the two certificates of all peers.
pub(crate) fn authority(folder: &Path) -> Result<Authority> {
    let authority = Authority::new(folder, "peers")?;
    for side in [Side::Outbound, Side::Inbound] {
        let (file, dns) = (side.certificate(), [SERVER_NAME]);
        let dns: &[&str] = if side == Side::Inbound { &dns } else { &[] };
        let uri = spiffe_id(file);
        authority.issue(&Subject { file, common_name: file, dns, uri: Some(&uri), ..Subject::default() })?;
    }
    Ok(authority)
}

/// Starts server and sidecars and waits until they listen.
pub(super) fn start(ground: &Ground<'_>, site: Site, kind: Kind) -> Result<Target> {
    let server = ground.server(&site, At::Loopback)?;
    let wiring = Wiring::new(&site, kind.protocol);
    let peer = Peer {
        folder: &ground.folder,
        authority: ground.peers,
        server_name: SERVER_NAME,
        tools: ground.tools,
        workers: ground.workers,
        connections: ground.connections,
    };
    let sidecar = |side: Side, room, cpus| {
        let mut command: Command = match kind.maker {
            Maker::Envoy => envoy::command(&peer, &wiring, side),
            Maker::Haproxy => haproxy::command(&peer, &wiring, side),
            Maker::Nginx => nginx::command(&peer, &wiring, side),
        }?;
        command.env(TUNABLES.0, TUNABLES.1);
        Program::start(room, &ground.folder, side.name(), command, cpus).map(|program| vec![program])
    };
    let inbound = sidecar(Side::Inbound, &site.b, ground.b())?;
    let outbound = sidecar(Side::Outbound, &site.a, ground.a())?;
    let at = |port| Some(SocketAddr::from((site.pod_a(), port)));
    let entries = if kind.protocol == Protocol::Bytes {
        Entries { http: at(HTTP), fresh: at(HTTP), ..Entries::default() }
    } else {
        Entries { http: at(HTTP), grpc: at(GRPC), stream: at(STREAM), fresh: at(TCP) }
    };
    let programs = [(Role::Outbound, outbound), (Role::Inbound, inbound), (Role::Server, server)].into();
    let mtls = SocketAddr::from((site.pod_b(), HTTP + MTLS));
    let (name, class, folder) = (kind.name.to_owned(), kind.class(), ground.folder.clone());
    let mut target = Target { name, folder, class, site, entries, mtls: Some(mtls), alpn: None, programs };
    target.wait_until_it_listens(DEADLINE)?;
    Ok(target)
}
