//! The admission webhook: puts the sidecar into pods and refuses objects of the mesh that cannot mean anything.
//!
//! A library as well as a binary, so that tools and tests decide with the same code. `inject` and `validate` are pure.

pub mod config;
pub mod inject;
pub mod metrics;
pub mod review;
pub mod selftest;
pub mod serve;
pub mod validate;
