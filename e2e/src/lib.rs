//! A real Kubernetes from source, and the tools that suites and people use on it.
//!
//! Nothing here knows the mesh: the binaries and the chart under test come in as files, never as code.

pub mod cluster;
pub mod command;
pub mod components;
pub mod helm;
pub mod host;
pub mod images;
pub mod interrupt;
pub mod kubectl;
pub mod paths;
pub mod progress;
pub mod wait;

pub use cluster::{Cluster, ClusterSpec, OwnedCluster};
pub use helm::Helm;
pub use kubectl::Kubectl;
