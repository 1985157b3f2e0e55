//! The ground of the conformance suite: the real control plane and real sidecars in network namespaces, up in seconds.
//!
//! [`Context::site`] builds pods as a [`Plan`] says; the promises are in `suite/`.

pub mod bystander;
pub mod context;
pub mod draw;
pub mod flood;
pub mod frames;
pub mod metrics;
pub mod runner;
pub mod site;

pub use context::Context;
pub use runner::Test;
pub use site::{Plan, Pod, Site};
