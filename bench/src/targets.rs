//! What is measured: a pair of sidecars on a site of its own, or none.

pub(crate) mod tulle;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::mesh::{GRPC, HTTP, TCP};
use crate::program::Program;
use crate::rooms::Cpus;
use crate::server::{self, Addresses};
use crate::site::{Placement, Site};

/// glibc's copy with `rep movsb` is 50 times slower for some offsets on AMD Zen 3; every program runs without it, or luck is measured.
pub(crate) const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000");

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

/// Ways into a target; a scenario uses one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// HTTP/1.1, the leg between the sidecars pooled.
    Http,
    /// HTTP/2 without TLS.
    Grpc,
    /// A new mTLS connection for each connection, or for each request.
    Fresh,
    /// Bytes.
    Bytes,
}

/// Where each entry is; `None` where a target has no such way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entries {
    pub(crate) http: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    pub(crate) fresh: Option<SocketAddr>,
    pub(crate) bytes: Option<SocketAddr>,
}

impl Entries {
    /// The address of one.
    pub(crate) fn get(&self, entry: Entry) -> Option<SocketAddr> {
        match entry {
            Entry::Http => self.http,
            Entry::Grpc => self.grpc,
            Entry::Fresh => self.fresh,
            Entry::Bytes => self.bytes,
        }
    }
}

/// A target that runs.
pub(crate) struct Target {
    /// Its name in reports.
    pub(crate) name: String,
    pub(crate) site: Site,
    pub(crate) entries: Entries,
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

    /// What its sidecars said last.
    pub(crate) fn said(&self) -> String {
        let sidecars = self.programs.iter().filter(|(role, _)| **role != Role::Server);
        sidecars.flat_map(|(role, all)| all.iter().map(|one| format!("{}: {}\n", role.name(), one.said()))).collect()
    }
}

/// What starting a target needs.
pub(crate) struct Ground<'a> {
    pub(crate) folder: PathBuf,
    pub(crate) placement: Option<&'a Placement>,
    pub(crate) plane: Option<&'a ControlPlane>,
    /// The sidecar's binary.
    pub(crate) proxy: &'a Path,
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
        Addresses { http: vec![at(HTTP), at(TCP)], grpc: at(GRPC) }
    }

    fn socket(self, site: &Site, port: u16) -> SocketAddr {
        match self {
            Self::Loopback => ([127, 0, 0, 1], 10_000 + port).into(),
            Self::Pod => (site.pod_b(), port).into(),
        }
    }
}

/// No sidecars: what the load generator, the wire and the server cost by themselves.
pub(crate) fn direct(ground: &Ground<'_>, site: Site) -> Result<Target> {
    let programs = [(Role::Server, ground.server(&site, At::Pod)?)].into();
    let at = |port| Some(SocketAddr::from((site.pod_b(), port)));
    let entries = Entries { http: at(HTTP), grpc: at(GRPC), fresh: at(HTTP), bytes: at(TCP) };
    Ok(Target { name: "direct".to_owned(), site, entries, programs })
}
