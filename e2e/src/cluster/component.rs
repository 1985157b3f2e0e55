//! The long-running programs of a node.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

/// One of them, by the name its process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers of Kubernetes.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The container runtime.
    Containerd,
    /// The node agent.
    Kubelet,
    /// Cluster IPs as nftables rules.
    KubeProxy,
}

impl Component {
    /// What every node runs.
    pub const NODE: &[Self] = &[Self::Containerd, Self::Kubelet, Self::KubeProxy];
    /// What only the first node runs.
    pub const CONTROL_PLANE: &[Self] = &[Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    /// The name of its program, its log and its records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Component {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let mut all = Self::CONTROL_PLANE.iter().chain(Self::NODE);
        match all.find(|component| component.name() == name) {
            Some(component) => Ok(*component),
            None => bail!("no component is called {name:?}"),
        }
    }
}
