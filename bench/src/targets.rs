//! What is measured: a pair of sidecars on a site of its own, or none.

mod envoy;
mod haproxy;
mod nginx;
pub(crate) mod peers;
pub(crate) mod tulle;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow};

use tulle_e2e::bare::ControlPlane;
use tulle_e2e::bare::certificates::Authority;
use tulle_e2e::rooms::{Cpus, Program};
use tulle_e2e::wait;

use crate::mesh::{GRPC, HTTP, STREAM, TCP};
use crate::server::{self, Addresses};
use crate::site::{Placement, Site};
use crate::tools::Tools;

/// glibc's copy with `rep movsb` is 50 times slower for some offsets on AMD Zen 3; every program runs without it, or luck is measured.
pub(crate) const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000");

/// Name of the target without sidecars.
pub(crate) const DIRECT: &str = "direct";
/// A server starts in milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// To an address in a namespace of ours.
const CONNECT: Duration = Duration::from_secs(1);

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// The sidecar of the caller.
    Outbound,
    /// The sidecar of the server.
    Inbound,
    /// The server.
    Server,
}

impl Role {
    /// All, along the path.
    pub(crate) const ALL: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Server];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Server => "server",
        }
    }
}

/// What a target is compared in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No sidecars.
    Direct,
    /// Requests.
    Http,
    /// Bytes.
    Bytes,
    /// Nothing but handshakes.
    Handshake,
}

/// Ways into a target; a scenario uses one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// HTTP/1.1, the leg between the sidecars pooled.
    Http,
    /// HTTP/2 without TLS.
    Grpc,
    /// A new mTLS connection for each connection, or for each request.
    Fresh,
    /// HTTP/2 without TLS, to the server of streams.
    Stream,
}

/// Where each entry is; `None` where a target has no such way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entries {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) fresh: Option<SocketAddr>,
    pub(crate) stream: Option<SocketAddr>,
}

impl Entries {
    /// The address of one.
    pub(crate) fn get(&self, entry: Entry) -> Option<SocketAddr> {
        match entry {
            Entry::Http => self.http,
            Entry::Grpc => self.grpc,
            Entry::Fresh => self.fresh,
            Entry::Stream => self.stream,
        }
    }
}

/// A target that runs.
pub(crate) struct Target {
    /// Its name in reports.
    pub(crate) name: String,
    /// Its configurations, logs and files.
    pub(crate) folder: PathBuf,
    pub(crate) class: Class,
    pub(crate) site: Site,
    pub(crate) entries: Entries,
    /// Where its inbound sidecar demands mTLS.
    pub(crate) mtls: Option<SocketAddr>,
    /// The ALPN protocol that belongs there, where one is needed to be taken for a peer.
    pub(crate) alpn: Option<&'static str>,
    programs: BTreeMap<Role, Vec<Program>>,
}

impl Target {
    /// Processes of a role.
    pub(crate) fn pids(&self, role: Role) -> Vec<i32> {
        self.programs.get(&role).into_iter().flatten().map(Program::pid).collect()
    }

    /// Fails when one of its programs has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.programs.values_mut().flatten().try_for_each(Program::check)
    }

    /// Waits until every entry and the mTLS port take connections.
    fn wait_until_it_listens(&mut self, deadline: Duration) -> Result<()> {
        let Entries { http, grpc, fresh, stream } = self.entries;
        let room = self.site.a.clone();
        for address in [http, grpc, fresh, stream, self.mtls].into_iter().flatten() {
            wait::until(deadline, &format!("{} to listen at {address}", self.name), || {
                self.check()?;
                room.run(|| Ok(Some(TcpStream::connect_timeout(&address, CONNECT)?)))
            })?;
        }
        Ok(())
    }

    /// An error of ours with what its sidecars said last.
    pub(crate) fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("{error:#}\n{} said:\n{}", self.name, self.said())
    }

    /// What its sidecars said last.
    fn said(&self) -> String {
        let sidecars = self.programs.iter().filter(|(role, _)| **role != Role::Server);
        sidecars.flat_map(|(role, all)| all.iter().map(|one| format!("{}: {}\n", role.name(), one.said()))).collect()
    }
}

/// A target that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// No sidecars.
    Direct,
    /// Ours.
    Tulle(tulle::Variant),
    /// One of the others.
    Peer(peers::Kind),
}

impl Recipe {
    /// All, in the order of reports.
    pub(crate) fn all() -> Vec<Self> {
        let ours = tulle::VARIANTS.map(Self::Tulle);
        let others = peers::KINDS.map(Self::Peer);
        [Self::Direct].into_iter().chain(ours).chain(others).collect()
    }

    /// Its name in reports and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => DIRECT,
            Self::Tulle(variant) => variant.name,
            Self::Peer(kind) => kind.name,
        }
    }

    /// What it is compared in.
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Direct => Class::Direct,
            Self::Tulle(variant) => variant.class,
            Self::Peer(kind) => kind.class(),
        }
    }

    /// Whether its key exchange has a post-quantum part.
    pub(crate) fn is_hybrid(self) -> bool {
        matches!(self, Self::Tulle(variant) if variant.hybrid)
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start(self, ground: &Ground<'_>, site: Site) -> Result<Target> {
        match self {
            Self::Direct => direct(ground, site),
            Self::Tulle(variant) => tulle::start(ground, site, variant),
            Self::Peer(kind) => peers::start(ground, site, kind),
        }
    }
}

/// What starting a target needs.
pub(crate) struct Ground<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) placement: Option<&'a Placement>,
    pub(crate) plane: Option<&'a ControlPlane>,
    /// Tulle's sidecar.
    pub(crate) proxy: &'a Path,
    /// Certificates of all others.
    pub(crate) peers: &'a Authority,
    pub(crate) tools: &'a Tools,
    /// Connections its sidecars must be able to carry, each with one behind it.
    pub(crate) connections: u32,
    /// Data threads of each sidecar.
    pub(crate) workers: usize,
}

impl Ground<'_> {
    /// CPUs of node A.
    pub(crate) fn a(&self) -> Option<&Cpus> {
        self.placement.map(|placement| &placement.a)
    }

    /// CPUs of node B.
    pub(crate) fn b(&self) -> Option<&Cpus> {
        self.placement.map(|placement| &placement.b)
    }

    /// Starts the server on these addresses of node B.
    fn server(&self, site: &Site, at: At) -> Result<Vec<Program>> {
        server::start(&site.b, &self.folder, &at.addresses(site), self.b())
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// On loopback, behind a sidecar that has the pod's ports.
    Loopback,
    /// On the pod's own ports.
    Pod,
}

impl At {
    fn addresses(self, site: &Site) -> Addresses {
        let at = |port| self.socket(site, port);
        Addresses { http: vec![at(HTTP), at(TCP)], grpc: at(GRPC), stream: at(STREAM) }
    }

    fn socket(self, site: &Site, port: u16) -> SocketAddr {
        match self {
            Self::Loopback => ([127, 0, 0, 1], 10_000 + port).into(),
            Self::Pod => (site.pod_b(), port).into(),
        }
    }
}

/// No sidecars: what the load generator, the wire and the server cost by themselves.
fn direct(ground: &Ground<'_>, site: Site) -> Result<Target> {
    let programs = [(Role::Server, ground.server(&site, At::Pod)?)].into();
    let at = |port| Some(SocketAddr::from((site.pod_b(), port)));
    let entries = Entries { http: at(HTTP), grpc: at(GRPC), stream: at(STREAM), fresh: None };
    let (name, class) = (DIRECT.to_owned(), Class::Direct);
    let mut target =
        Target { name, folder: ground.folder.clone(), class, site, entries, mtls: None, alpn: None, programs };
    target.wait_until_it_listens(DEADLINE)?;
    Ok(target)
}
