//! The promises of the mesh, shown on a real cluster: one file a promise, each able to fail.
//!
//! Runs against a cluster that is up (`--cluster NAME` or `TULLE_E2E_CLUSTER`), normally through `cargo xtask test`. Tests
//! share the cluster and have a namespace each; what breaks the cluster runs alone, at the end.

mod beside;
mod canary;
mod context;
mod diagnostics;
mod flagger;
mod install;
mod matrix;
mod mtls;
mod outage;
mod policy;
mod propagation;
mod protocols;
mod renewal;
mod rollout;
mod routes;
mod runner;
mod tracing;
mod validation;

use std::process::ExitCode;

use runner::{Kind, Test};

/// In order: figures first, on a machine that is quiet; then the long one beside the many; then those that break things.
const TESTS: &[Test] = &[
    Test { name: "propagation", kind: Kind::Together, run: propagation::run },
    Test { name: "canary", kind: Kind::Together, run: canary::run },
    Test { name: "renewal", kind: Kind::Background, run: renewal::run },
    Test { name: "protocols", kind: Kind::Together, run: protocols::run },
    Test { name: "matrix", kind: Kind::Together, run: matrix::run },
    Test { name: "mtls-wire", kind: Kind::Together, run: mtls::wire },
    Test { name: "mtls-modes", kind: Kind::Together, run: mtls::modes },
    Test { name: "mtls-certificates", kind: Kind::Together, run: mtls::certificates },
    Test { name: "mtls-wrong-server", kind: Kind::Together, run: mtls::wrong_server },
    Test { name: "routes", kind: Kind::Together, run: routes::run },
    Test { name: "routes-mirrors", kind: Kind::Together, run: routes::mirrors::run },
    Test { name: "routes-delegates", kind: Kind::Together, run: routes::delegates::run },
    Test { name: "routes-bytes", kind: Kind::Together, run: routes::bytes::run },
    Test { name: "flagger", kind: Kind::Together, run: flagger::run },
    Test { name: "flagger-program", kind: Kind::Background, run: flagger::program::run },
    Test { name: "policy", kind: Kind::Together, run: policy::run },
    Test { name: "validation", kind: Kind::Together, run: validation::run },
    Test { name: "rollout", kind: Kind::Together, run: rollout::run },
    Test { name: "job", kind: Kind::Together, run: rollout::job },
    Test { name: "stateful-set", kind: Kind::Together, run: rollout::stateful_set },
    Test { name: "tracing", kind: Kind::Alone, run: tracing::run },
    Test { name: "outage-operator", kind: Kind::Alone, run: outage::operator },
    Test { name: "outage-webhook", kind: Kind::Alone, run: outage::webhook },
    Test { name: "outage-api-server", kind: Kind::Alone, run: outage::api_server },
    Test { name: "install", kind: Kind::Alone, run: install::run },
];

fn main() -> ExitCode {
    runner::main(TESTS)
}
