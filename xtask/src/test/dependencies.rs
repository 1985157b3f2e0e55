//! Licences, duplicates and sources of what we build on, by cargo-deny; the rules are in `deny.toml`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tulle_e2e::progress::Step;
use tulle_e2e::{command, paths};

use super::stage::{Counts, cargo, checked};

/// Release of cargo-deny; its rules file changes between minors.
const VERSION: &str = "0.20.2";
/// What building it takes on two cores.
const COLD: Duration = Duration::from_secs(270);

/// Checks what needs no network once the crates are there. Advisories need the RustSec database: `cargo deny check advisories` by hand or in a scheduled job.
pub(super) fn check() -> Result<Counts> {
    // It reads the manifests of every platform's crates, of which builds on this one downloaded only their own.
    command::run(&mut cargo(&["fetch", "--locked", "--quiet"])).context("cannot download the crates of Cargo.lock")?;
    let mut deny = Command::new(tool()?);
    deny.current_dir(paths::repository()).args(["--offline", "check", "licenses", "bans", "sources"]);
    checked("dependencies", deny)
}

/// cargo-deny from the cache, built there once.
fn tool() -> Result<PathBuf> {
    let root = paths::cache().join(format!("tools/cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    let step = Step::start(format!("building cargo-deny {VERSION}, once"), Some(COLD));
    let mut install = Command::new("cargo");
    // Outside the clone, so that neither its toolchain nor its target folder are touched.
    install.current_dir("/").args(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug"]);
    install.args(["--no-default-features", "--root"]).arg(&root);
    command::run(&mut install).context("cargo-deny cannot be built")?;
    step.done();
    Ok(program)
}
