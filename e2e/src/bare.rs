//! The mesh without nodes: the real control plane and real sidecars as plain processes in rooms, up in seconds.
//!
//! ```text
//!   hub: etcd, API server, operator
//!    │ wires
//!   rooms: a pod each: redirect, sidecar, application
//! ```
//! What a kubelet and controllers would write is written here: pods and their status, EndpointSlices, the files of a sidecar. There is no
//! webhook, scheduler, DNS or kube-proxy.

pub mod certificates;
pub mod control_plane;
pub mod objects;
pub mod sidecar;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::images;
use crate::rooms::Room;

pub use control_plane::ControlPlane;
pub use objects::{Service, ServicePort, Workload};

/// Where the control plane answers.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
/// The hub in the other family.
pub const HUB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 1);
/// Cluster addresses of Services, as the API server gives them out.
pub const SERVICES: &str = "10.224.0.0/16,fd00:224::/108";
/// Networks of pods and Services.
const CLUSTER_NETWORKS: &str = "10.200.0.0/13,10.224.0.0/16,fd00:200::/32,fd00:224::/108";

/// Makes the bridge that every room has a wire to.
pub fn prepare_hub(hub: &Room) -> Result<()> {
    hub.ip(&format!(
        "link set lo up\nlink add hub0 type bridge\naddress add {HUB}/16 dev hub0\n\
         address add {HUB_V6}/64 dev hub0 nodad\nlink set hub0 up\n"
    ))
    .context("cannot make the bridge of the control plane")
}

/// The programs under test, static as they are shipped.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `tulle-proxy`.
    pub proxy: PathBuf,
    /// `tulle-operator`.
    pub operator: PathBuf,
}

impl Binaries {
    /// Compiles them; with `proxy`, takes that one, and the operator from beside it if there is one.
    pub fn ensure(proxy: Option<&Path>) -> Result<Self> {
        let Some(proxy) = proxy else {
            let folder = images::compile(&["tulle-proxy", "tulle-operator"])?;
            return Ok(Self { proxy: folder.join("tulle-proxy"), operator: folder.join("tulle-operator") });
        };
        let proxy = proxy.canonicalize().with_context(|| format!("there is no {}", proxy.display()))?;
        let operator = proxy.with_file_name("tulle-operator");
        let operator =
            if operator.is_file() { operator } else { images::compile(&["tulle-operator"])?.join("tulle-operator") };
        Ok(Self { proxy, operator })
    }
}
