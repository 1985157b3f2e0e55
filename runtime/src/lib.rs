//! What the three binaries share and none of them is about: telemetry, bounded HTTP serving, the administration port,
//! orderly shutdown and server certificates that change without a restart. Knows nothing of meshes.

pub mod admin;
pub mod serve;
pub mod served_cert;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod tls_files;
