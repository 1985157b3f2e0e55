//! The operator: reconciles the mesh's objects and signs workload certificates.
//!
//! Every reconciler is gather → desired (pure) → apply: [`world`] gathers, [`desired`] decides, [`apply`] writes. A library
//! beside the binary, so that tests outside can use it.

pub mod apply;
pub mod ca;
pub mod config;
pub mod controllers;
pub mod desired;
pub mod issuer;
pub mod keepers;
pub mod lease;
pub mod metrics;
pub mod run;
pub mod uninstall;
pub mod world;
