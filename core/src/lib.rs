//! The meaning of the mesh as pure functions and types.
//!
//! Operator, webhook, proxy and tools all decide with this code, so they can never disagree. Nothing here awaits, reads a
//! clock, draws a random number or opens a file: time and draws are arguments.

pub mod authority;
pub mod authz;
pub mod codes;
pub mod grpc;
pub mod host;
pub mod identity;
pub mod issuance;
pub mod name;
pub mod path;
pub mod retry;
pub mod route;
pub mod sidecar;
pub mod snapshot;
pub mod split;
pub mod trace;
