//! A real Kubernetes from source, and the tools that suites and people use on it.
//!
//! Nothing here knows the mesh: the binaries and the chart under test come in as files, never as code.

pub mod api;
pub mod app;
pub mod bare;
pub mod capture;
pub mod cluster;
pub mod command;
pub mod components;
pub mod edits;
pub mod helm;
pub mod host;
pub mod http;
pub mod images;
pub mod inside;
pub mod interrupt;
pub mod kubectl;
pub mod ledger;
pub mod load;
pub mod matrix;
pub mod mesh;
pub mod own_tls;
pub mod paths;
pub mod plaintext;
pub mod pods;
pub mod progress;
pub mod reach;
pub mod rooms;
pub mod scratch;
pub mod shares;
pub mod verdict;
pub mod wait;

pub use cluster::{Cluster, ClusterSpec, OwnedCluster};
pub use helm::Helm;
pub use kubectl::Kubectl;
