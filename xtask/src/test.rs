//! `cargo xtask test`: everything that shows whether this clone is sound, in the order of how soon it can tell.

mod cluster;
mod dependencies;
mod stage;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tulle_e2e::components::{HELM, Toolbox};
use tulle_e2e::{host, interrupt, mesh, paths};

use stage::{Counts, Stage, Stages, cargo, checked, logged};

/// Options of the tests.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out what needs a cluster
    #[arg(long, conflicts_with = "e2e")]
    fast: bool,
    /// Only what needs a cluster
    #[arg(long)]
    e2e: bool,
    /// Tests of the cluster by the beginnings of their names; all without
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs all stages; a failure of one does not hide the others.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    interrupt::listen();
    // The component tests make network namespaces, the cluster makes everything else.
    host::require_root("testing")?;
    host::ensure(host::CLUSTER)?;
    host::ensure(host::IMAGE_BUILD)?;
    host::ensure(host::COMPONENT_BUILD)?;
    let mut stages = Stages::default();
    if !arguments.e2e {
        stages.extend(LOCAL);
    }
    if !arguments.fast {
        stages.extend(cluster::STAGES);
    }
    let counts = stages.run(&arguments.names)?;
    eprintln!("\n{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 {
        bail!("not everything passed; the stages above say where");
    }
    Ok(())
}

/// What needs no cluster. Expected times are those of a warm clone on two cores.
const LOCAL: &[Stage] = &[
    Stage {
        name: "format",
        expected: Duration::from_secs(3),
        run: |_| checked("format", cargo(&["fmt", "--all", "--check"])),
    },
    Stage { name: "tidiness", expected: Duration::from_secs(1), run: |_| crate::tidy::run().map(|()| Counts::PASSED) },
    Stage { name: "lints", expected: Duration::from_secs(60), run: |_| lints() },
    Stage { name: "documentation", expected: Duration::from_secs(40), run: |_| documentation() },
    Stage { name: "unit and component tests", expected: Duration::from_secs(150), run: |_| tests() },
    Stage { name: "fuzzing", expected: Duration::from_secs(120), run: |_| fuzzing() },
    Stage { name: "dependencies", expected: Duration::from_secs(3), run: |_| dependencies::check() },
    Stage { name: "chart", expected: Duration::from_secs(5), run: |_| chart() },
];

fn lints() -> Result<Counts> {
    let strict = |selection: &[&str]| {
        let arguments: Vec<&str> = [&["clippy"], selection, &["--", "-D", "warnings"]].concat();
        checked("lints", cargo(&arguments))
    };
    // The suite is no default target, because it needs a cluster to run.
    Ok(strict(&["--workspace", "--all-targets"])? + strict(&["--package", "tulle-e2e", "--test", "suite"])?)
}

fn documentation() -> Result<Counts> {
    // For people who change the code: private items are documented, so links to them lead somewhere.
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    checked("documentation", doc)
}

fn tests() -> Result<Counts> {
    let (success, output) = logged("tests", cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    let counts = Counts::of_cargo(&output);
    // A test binary that does not compile or dies has no counts of its own.
    Ok(if success || counts.failed > 0 { counts } else { counts + Counts::FAILED })
}

/// Each parser for a while.
fn fuzzing() -> Result<Counts> {
    let (passed, failed) = crate::fuzz::briefly()?;
    Ok(Counts { passed, failed })
}

/// The chart must be well-formed with its defaults and with everything turned on.
fn chart() -> Result<Counts> {
    let helm = Toolbox::ensure()?.program(&HELM, "helm");
    let everything = "networkPolicy.enabled=true,uninstall.force=true,proxy.accessLog=json,policy.mtls=STRICT";
    let chart = mesh::chart();
    let mut rendered = cargo(&["test", "--package", "tulle-webhook", "--test", "chart", "--", "--ignored"]);
    rendered.env("HELM", &helm);
    let (_, output) = logged("chart rendering", rendered)?;
    let mut counts = Counts::of_cargo(&output);
    if counts == Counts::default() {
        counts = Counts::FAILED;
    }
    for arguments in [&["lint", "--strict"][..], &["template", "tulle"], &["template", "tulle", "--set", everything]] {
        let mut command = Command::new(&helm);
        command.current_dir(paths::repository()).args(arguments).arg(&chart);
        counts = counts + checked("chart", command)?;
    }
    Ok(counts)
}
