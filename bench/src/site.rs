//! (shell) One target's ground: node A with the load generator and the outbound sidecar, node B with the inbound sidecar and the
//! server. A wire for data joins them, and a wire each leads to the hub, where Tulle's control plane is.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use tulle_e2e::rooms::{Building, Cpus, Room};

/// Which CPUs the two nodes have.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// The first half: load generator and outbound sidecar.
    pub(crate) a: Cpus,
    /// The second half: inbound sidecar and server.
    pub(crate) b: Cpus,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Site {
    number: u8,
    /// Node A.
    pub(crate) a: Room,
    /// Node B.
    pub(crate) b: Room,
}

impl Placement {
    /// Halves of the CPUs this process may use. One CPU is both halves.
    pub(crate) fn halves() -> Result<Self> {
        let set = rustix::thread::sched_getaffinity(None).context("cannot read which CPUs there are")?;
        let cpus: Cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
        let (a, b) = cpus.split_at(cpus.len() / 2);
        Ok(Self { a: if a.is_empty() { b } else { a }.to_vec(), b: b.to_vec() })
    }
}

impl Site {
    /// Makes the site with this number, below 100; the number decides its addresses.
    pub(crate) fn new(building: &Building, hub: &Room, number: u8) -> Result<Self> {
        let site = Self { number, a: building.room()?, b: building.room()? };
        let [a, b] = [&site.a, &site.b].map(Room::holder);
        hub.ip(&format!(
            "link add a{number} type veth peer name ctl0 netns {a}\nlink set a{number} master hub0\nlink set a{number} up\n\
             link add b{number} type veth peer name ctl0 netns {b}\nlink set b{number} master hub0\nlink set b{number} up\n"
        ))
        .context("cannot connect a site to the hub")?;
        site.a.ip(&format!("link add data0 type veth peer name data0 netns {b}\n")).context("cannot join two nodes")?;
        for (room, own, peer, control) in
            [(&site.a, site.pod_a(), site.pod_b(), 2 * number), (&site.b, site.pod_b(), site.pod_a(), 2 * number + 1)]
        {
            // The default route is never used: capture wants packets to anywhere to have a way out at all.
            room.ip(&format!(
                "link set lo up\n\
                 address add 10.200.1.{control}/16 dev ctl0\nlink set ctl0 up\n\
                 address add {own}/24 dev data0\nlink set data0 up\nroute add default via {peer}\n"
            ))
            .context("cannot give a node its addresses")?;
        }
        Ok(site)
    }

    /// The number.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// Address of the pod in A.
    pub(crate) fn pod_a(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 201, self.number, 1)
    }

    /// Address of the pod in B.
    pub(crate) fn pod_b(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 201, self.number, 2)
    }

    /// Cluster address of the site's Service number `index` (0 is the one that is called).
    pub(crate) fn service(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 224, self.number + 1, index + 1)
    }
}
