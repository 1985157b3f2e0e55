//! The Kubernetes API of the mesh (`tulle.dev/v1alpha1`), and the one parser from what users write to what the mesh means.
//!
//! Users write [`VirtualService`], [`TrafficSplit`] and [`MeshPolicy`]; the operator writes [`MeshService`] and [`MeshEndpoint`].
//! Admission, status and the proxies all read a spec through [`into_core`], so one mistake has one sentence everywhere.

// Every printed column repeats `type_` and `priority` inside one `kube` attribute, which the lint takes for duplicates.
#![allow(clippy::duplicated_attributes)]

pub mod into_core;
pub mod labels;
mod later;
pub mod manifest;
pub mod mesh_endpoint;
pub mod mesh_policy;
pub mod mesh_service;
mod schema;
pub mod smi;
pub mod status;
pub mod traffic_split;
pub mod virtual_service;

pub use manifest::{all, render_yaml};
pub use mesh_endpoint::{MeshEndpoint, MeshEndpointSpec};
pub use mesh_policy::{MeshPolicy, MeshPolicySpec, MeshPolicyStatus};
pub use mesh_service::{MeshService, MeshServiceSpec, MeshServiceStatus, Protocol, ServicePort};
pub use traffic_split::{BackendStatus, TrafficSplit, TrafficSplitSpec, TrafficSplitStatus};
pub use virtual_service::{VirtualService, VirtualServiceSpec, VirtualServiceStatus};

/// API group of every kind of the mesh.
pub const GROUP: &str = "tulle.dev";
/// The only version served so far.
pub const VERSION: &str = "v1alpha1";
