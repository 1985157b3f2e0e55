//! `cargo xtask conformance`: builds the suite in `e2e/conformance` and runs it.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use tulle_e2e::paths;

/// Passed on; `-- --help` says what there is.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Tests by the beginnings of their names, and options: --list, --long, --proxy PATH
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let status = command(&arguments.arguments).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("not everything passed");
    }
    Ok(())
}

/// The suite as a command.
pub(crate) fn command(arguments: &[String]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(paths::repository())
        .args(["run", "--quiet", "--package", "tulle-conformance", "--"])
        .args(arguments);
    cargo
}
