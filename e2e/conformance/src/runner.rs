//! Which tests run, and what is said about them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use tulle_e2e::verdict::{self, Outcome, attempt, is_wanted};
use tulle_e2e::{host, interrupt};

use crate::context::{Context, Ground};

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// What it is chosen by.
    pub name: &'static str,
    /// Fails when the promise is broken.
    pub run: fn(&Context<'_>) -> Result<()>,
}

#[derive(Debug, Parser)]
#[command(name = "cargo xtask conformance", bin_name = "cargo xtask conformance")]
struct Arguments {
    /// Tests by the beginnings of their names; all without
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Say what there is, and end
    #[arg(long)]
    list: bool,
    /// Repeat what is repeated as often as a release wants it, instead of a few times
    #[arg(long)]
    long: bool,
    /// Test this static `tulle-proxy` instead of building one; a `tulle-operator` and a `tulle-e2e-app` beside it are used as well
    #[arg(long, value_name = "PATH")]
    proxy: Option<PathBuf>,
}

/// Runs what the command line asks for.
pub fn main(tests: &[Test]) -> ExitCode {
    match run(tests, &Arguments::parse()) {
        Ok(outcomes) => outcomes.map_or(ExitCode::SUCCESS, |outcomes| verdict::conclude(&outcomes)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs what is wanted; `None` when only the names were.
fn run(tests: &[Test], arguments: &Arguments) -> Result<Option<Vec<Outcome>>> {
    let chosen: Vec<&Test> = tests.iter().filter(|test| is_wanted(test.name, &arguments.names)).collect();
    if arguments.list {
        chosen.iter().for_each(|test| eprintln!("{}", test.name));
        return Ok(None);
    }
    let mut outcomes = Vec::new();
    if chosen.is_empty() {
        return Ok(Some(outcomes));
    }
    host::require_root("conformance testing")?;
    host::ensure(host::ROOMS)?;
    interrupt::listen();
    let ground = Ground::up(arguments.proxy.as_deref(), arguments.long)?;
    for test in chosen {
        if interrupt::requested() {
            break;
        }
        outcomes.push(attempt(test.name, || execute(test, &ground)));
    }
    drop(ground);
    interrupt::check()?;
    Ok(Some(outcomes))
}

/// What the sidecars said is kept when the test failed. A sidecar that panicked has failed whatever the test saw.
fn execute(test: &Test, ground: &Ground) -> Result<()> {
    let context = Context::new(test.name, ground);
    let result = verdict::guarded(|| (test.run)(&context));
    let result = result.and_then(|()| match context.panics()?.as_slice() {
        [] => Ok(()),
        lines => bail!("a sidecar panicked:\n{}", lines.join("\n")),
    });
    result.map_err(|error| match context.keep_logs() {
        Ok(folder) => error.context(format!("logs are in {}", folder.display())),
        Err(trouble) => error.context(format!("its logs are lost: {trouble:#}")),
    })
}
