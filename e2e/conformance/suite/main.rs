//! What the mesh does to protocols, shown from outside: one file a promise, each able to fail.
//!
//! The real control plane and two or more real sidecars stand in network namespaces between a client and a back end
//! ([`tulle_conformance`]). Run it with `cargo xtask conformance [NAME…]`. To add a promise: a file with `run`, and a row in [`TESTS`].

mod clients;
mod faces;
mod garden;
mod grpc_interop;
mod h2spec;
mod hostile;
mod hostile_http1;
mod hostile_server;
mod matrix;
mod mirrors;
mod sni;
mod subsets;
mod tracing;
mod undeclared;
mod websocket;

use std::process::ExitCode;

use tulle_conformance::{Test, runner};

/// All of them, in order.
const TESTS: &[Test] = &[
    Test { name: "faces", run: faces::run },
    Test { name: "matrix", run: matrix::run },
    Test { name: "clients", run: clients::run },
    Test { name: "undeclared", run: undeclared::run },
    Test { name: "sni", run: sni::run },
    Test { name: "subsets", run: subsets::run },
    Test { name: "mirrors", run: mirrors::run },
    Test { name: "websocket", run: websocket::run },
    Test { name: "tracing", run: tracing::run },
    Test { name: "garden", run: garden::run },
    Test { name: "h2spec", run: h2spec::run },
    Test { name: "hostile", run: hostile::run },
    Test { name: "hostile-http1", run: hostile_http1::run },
    Test { name: "hostile-server", run: hostile_server::run },
    Test { name: "grpc-interop", run: grpc_interop::run },
];

fn main() -> ExitCode {
    runner::main(TESTS)
}
