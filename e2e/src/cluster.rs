//! A real Kubernetes on this machine: every node is a set of namespaces of its own (network, mounts, processes, host
//! name), and process 1 of that set is the node. Killing it ends all that runs on the node, pods included, and with
//! the last process the kernel drops the node's mounts and interfaces: nothing has to be hunted down.
//!
//! There is no default route in any node, so nothing of a cluster can leave the machine.

mod addons;
mod addresses;
mod cgroups;
mod component;
mod config;
mod control_plane;
mod network;
mod node;
mod pki;
mod procfs;
mod state;
mod teardown;
mod up;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use addresses::Addresses;
pub use component::Component;
pub use node::Node;
pub use rustix::process::Signal;

use crate::components::{self, Toolbox};
use crate::helm::Helm;
use crate::interrupt::{self, OnInterrupt};
use crate::kubectl::Kubectl;
use crate::rooms::Room;
use crate::{command, host};
use state::State;

/// What a cluster should be.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// Lower-case letters, digits and dashes; at most [`ClusterSpec::LONGEST_NAME`] characters.
    pub name: String,
    /// Number of nodes, 1 to [`Addresses::MAX_NODES`]; the control plane runs on the first.
    pub nodes: u8,
}

impl ClusterSpec {
    /// Unix socket paths end at 108 bytes, and the kubelet makes some below the cluster's folder.
    pub const LONGEST_NAME: usize = 24;

    /// A cluster of one node.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), nodes: 1 }
    }

    fn validate(&self) -> Result<()> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let well_formed = self.name.bytes().all(allowed) && self.name.starts_with(|first: char| first != '-');
        if self.name.is_empty() || self.name.len() > Self::LONGEST_NAME || !well_formed {
            anyhow::bail!("{:?} is no cluster name: 1 to {} of a-z, 0-9 and '-'", self.name, Self::LONGEST_NAME);
        }
        if !(1..=Addresses::MAX_NODES).contains(&self.nodes) {
            anyhow::bail!("a cluster has 1 to {} nodes, not {}", Addresses::MAX_NODES, self.nodes);
        }
        Ok(())
    }
}

/// A cluster that is up, whoever started it.
#[derive(Debug, Clone)]
pub struct Cluster {
    state: State,
    folder: PathBuf,
    tools: Toolbox,
}

/// How a component is doing, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentStatus {
    /// The node it runs on.
    pub node: String,
    /// Its name, e.g. `kube-apiserver`.
    pub component: Component,
    /// Its process id as seen from the machine, when it runs.
    pub pid: Option<i32>,
}

impl Cluster {
    /// Starts a cluster and waits until it is usable: nodes Ready, DNS answering.
    ///
    /// What an earlier cluster of this name left behind is cleaned up first. The cluster outlives this process; see
    /// [`OwnedCluster`] for one that does not.
    pub fn up(spec: &ClusterSpec) -> Result<Self> {
        spec.validate()?;
        host::require_root("a cluster")?;
        host::ensure(host::CLUSTER)?;
        let tools = Toolbox::ensure()?;
        up::up(spec, tools, None)
    }

    /// Finds a cluster that was started before.
    pub fn load(name: &str) -> Result<Self> {
        let folder = state::folder(name);
        let state = State::read(&folder)?.with_context(|| {
            format!("there is no cluster {name:?}; start it with `cargo xtask cluster up --name {name}`")
        })?;
        Ok(Self { state, folder, tools: Toolbox::ensure()? })
    }

    /// Names of the clusters on this machine.
    pub fn list() -> Result<Vec<String>> {
        state::names()
    }

    /// Takes the cluster of this name down, or what is left of it. It is no error if there is none.
    pub fn remove(name: &str) -> Result<()> {
        host::require_root("taking a cluster down")?;
        let _lock = state::lock(name)?;
        teardown::teardown(name)
    }

    /// Takes this cluster down.
    pub fn down(self) -> Result<()> {
        Self::remove(&self.state.name)
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The cluster's address plan.
    pub fn addresses(&self) -> Addresses {
        self.state.addresses()
    }

    /// Administrator's kubeconfig; works from this machine's own network namespace.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A folder with `kubectl`, `helm` and `ctr`, to put on a person's path.
    pub fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Puts a room on the wire of the nodes, as the machine that has the addresses of [`Addresses::neighbour`].
    ///
    /// # Errors
    /// There is one already, or the room cannot be connected.
    pub fn connect(&self, room: &Room) -> Result<()> {
        network::connect(&self.state, room)
    }

    /// The folder that holds all state of this cluster.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.tools.program(&components::KUBERNETES, "kubectl"), self.kubeconfig())
    }

    /// Helm for this cluster.
    pub fn helm(&self) -> Helm {
        Helm::new(self.tools.program(&components::HELM, "helm"), self.kubeconfig(), self.folder.join("helm"))
    }

    /// The nodes, the one with the control plane first.
    pub fn nodes(&self) -> Vec<Node> {
        (1..=self.state.nodes).map(|number| Node::new(&self.folder, &self.state, number)).collect()
    }

    /// The node with the control plane.
    pub fn first_node(&self) -> Node {
        Node::new(&self.folder, &self.state, 1)
    }

    /// Every component and whether it runs.
    pub fn status(&self) -> Result<Vec<ComponentStatus>> {
        let mut all = Vec::new();
        for node in self.nodes() {
            for component in node.components() {
                all.push(ComponentStatus { node: node.name(), component, pid: node.pid(component)? });
            }
        }
        Ok(all)
    }

    /// Imports a docker-archive tar into every node.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let ctr = self.tools.program(&components::CONTAINERD, "ctr");
        for node in self.nodes() {
            // Through standard input: a node does not see all of the machine's files.
            let input = File::open(archive).with_context(|| format!("no image at {}", archive.display()))?;
            let mut import = node.command(&ctr)?;
            import.args(["--namespace", "k8s.io", "images", "import", "--local", "-"]);
            command::run_with_file(&mut import, input)
                .with_context(|| format!("cannot load an image into node {}", node.name()))?;
        }
        Ok(())
    }

    /// Waits until the API server answers, e.g. after it was started again.
    pub fn wait_for_api(&self) -> Result<()> {
        control_plane::wait_until_ready(self)
    }
}

/// A cluster that goes down with its owner: when this value is dropped, at Ctrl-C, and (should the owner be killed)
/// when the next cluster is started on this machine.
pub struct OwnedCluster {
    cluster: Cluster,
    kept: bool,
    _on_interrupt: OnInterrupt,
}

impl OwnedCluster {
    /// Starts a cluster as [`Cluster::up`] does.
    pub fn up(spec: &ClusterSpec) -> Result<Self> {
        spec.validate()?;
        host::require_root("a cluster")?;
        host::ensure(host::CLUSTER)?;
        let tools = Toolbox::ensure()?;
        let name = spec.name.clone();
        let on_interrupt = interrupt::on_interrupt(move || {
            // The owner may hold the lock for ever, so this last resort goes without.
            if let Err(error) = teardown::teardown(&name) {
                eprintln!("cluster {name} was not taken down completely: {error:#}");
            }
        });
        let cluster = up::up(spec, tools, Some(procfs::ProcessId::of_this_process()?))?;
        Ok(Self { cluster, kept: false, _on_interrupt: on_interrupt })
    }

    /// Lets the cluster live on after this process.
    pub fn keep(mut self) -> Result<Cluster> {
        self.cluster.state.owner = None;
        self.cluster.state.write(&self.cluster.folder)?;
        self.kept = true;
        Ok(self.cluster.clone())
    }
}

impl std::ops::Deref for OwnedCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for OwnedCluster {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = Cluster::remove(&self.cluster.state.name) {
            eprintln!("cluster {} was not taken down completely: {error:#}", self.cluster.state.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_checked() {
        let valid = |name: &str, nodes| ClusterSpec { name: name.to_owned(), nodes }.validate().is_ok();
        assert!(valid("tulle", 1));
        assert!(valid("a-2", 8));
        assert!(!valid("", 1));
        assert!(!valid("-a", 1));
        assert!(!valid("../etc", 1));
        assert!(!valid("name-that-is-much-too-long-for-a-socket", 1));
        assert!(!valid("tulle", 0));
        assert!(!valid("tulle", 9));
    }
}
