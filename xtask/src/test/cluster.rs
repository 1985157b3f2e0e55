//! The stage that needs a cluster: one for all suites, up once, down at the end whatever happens.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tulle_e2e::components::Toolbox;
use tulle_e2e::images::MeshImages;
use tulle_e2e::progress::Step;
use tulle_e2e::{ClusterSpec, OwnedCluster, mesh, paths};

use super::stage::{Counts, Stage, cargo, logged};

/// Name of the tests' own cluster.
const CLUSTER: &str = "test";

/// Programs and images first: they fail for other reasons than the mesh does.
pub(super) const STAGES: &[Stage] = &[
    Stage {
        name: "cluster programs",
        expected: Duration::from_secs(1),
        run: |_| Toolbox::ensure().map(|_| Counts::PASSED),
    },
    Stage {
        name: "images",
        expected: Duration::from_secs(60),
        run: |_| images()?.check_sizes().map(|()| Counts::PASSED),
    },
    Stage { name: "cost of a request", expected: Duration::from_secs(90), run: |_| cost() },
    Stage {
        name: "conformance of protocols",
        expected: Duration::from_secs(6 * 60),
        run: |names| run_suite(crate::conformance::command(names)),
    },
    Stage { name: "the cluster itself", expected: Duration::from_secs(45), run: |_| runner() },
    Stage { name: "promises on a real cluster", expected: Duration::from_secs(20 * 60), run: promises },
];

fn images() -> Result<MeshImages> {
    MeshImages::build(&paths::repository().join("target/images"))
}

/// The guard of the data path, after the images, with which it shares its compiled crates.
fn cost() -> Result<Counts> {
    crate::guard::run(&crate::guard::Arguments::default()).map(|()| Counts::PASSED)
}

/// Boot, chaos and clean-up of the cluster runner, in clusters of their own.
fn runner() -> Result<Counts> {
    let (success, output) =
        logged("cluster", cargo(&["test", "--package", "tulle-e2e", "--test", "cluster", "--", "--ignored"]))?;
    let counts = Counts::of_cargo(&output);
    Ok(if success || counts.failed > 0 { counts } else { counts + Counts::FAILED })
}

fn promises(names: &[String]) -> Result<Counts> {
    // Compiled before the cluster is up: a compiler beside it would spoil every figure.
    let mut suite = suite_program()?;
    let images = images()?;
    let cluster = OwnedCluster::up(&ClusterSpec::named(CLUSTER))?;
    mesh::load_images(&cluster, &images)?;
    let step = Step::start("installing the mesh with Helm", Some(Duration::from_secs(15)));
    mesh::install(&cluster.helm(), &mesh::values(&cluster))?;
    step.done();
    suite.args(["--cluster", CLUSTER]).args(names);
    run_suite(suite)
}

/// Builds the suite and finds the program among cargo's messages.
fn suite_program() -> Result<Command> {
    let mut build = cargo(&["test", "--no-run", "--package", "tulle-e2e", "--test", "suite", "--message-format=json"]);
    let output = build.stderr(Stdio::inherit()).output().context("cannot build the suite")?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut programs = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message["executable"].as_str()?.to_owned())
    });
    programs.next_back().map(Command::new).context("the suite does not compile")
}

/// Passes the suite's words on, and counts from its last line.
fn run_suite(mut suite: Command) -> Result<Counts> {
    let mut child = suite.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("cannot start the suite")?;
    let words = child.stderr.take().context("the suite has no standard error")?;
    let mut counts = None;
    for line in BufReader::new(words).lines() {
        let line = line?;
        eprintln!("{line}");
        if line.ends_with(" failed") && line.contains(" passed, ") {
            counts = Some(Counts::of_words(&line));
        }
    }
    child.wait()?;
    counts.context("the suite ended without a result")
}
