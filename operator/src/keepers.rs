//! (shell) What the leader keeps as it should be beside the mesh's own objects: the published trust bundle, the webhook's
//! certificate with the two configurations that refer to it, and TrafficSplits of the Service Mesh Interface in our kind.

pub mod smi;
pub mod trust_bundle;
pub mod webhook;
