//! Which tests run in which order, and what is said about them.

use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};
use tulle_e2e::plaintext::PlaintextWatch;
use tulle_e2e::verdict::{self, Outcome, attempt, is_wanted};
use tulle_e2e::{Cluster, interrupt};

use crate::context::Context;
use crate::diagnostics;

/// How a test gets on with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs one after the other, perhaps beside one in the background.
    Together,
    /// Takes minutes of mere waiting: runs beside the others that follow, up to the first that must be alone.
    Background,
    /// Breaks what others need: nothing else runs meanwhile.
    Alone,
}

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) run: fn(&Context) -> Result<()>,
}

pub(crate) fn main(tests: &[Test]) -> ExitCode {
    match run(tests) {
        Ok(outcomes) => outcomes.map_or(ExitCode::SUCCESS, |outcomes| verdict::conclude(&outcomes)),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
struct Wanted {
    cluster: Option<String>,
    filters: Vec<String>,
    list: bool,
}

fn arguments() -> Result<Wanted> {
    let mut wanted = Wanted { cluster: env::var("TULLE_E2E_CLUSTER").ok(), filters: Vec::new(), list: false };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--cluster" => wanted.cluster = Some(arguments.next().context("--cluster needs a name")?),
            "--list" => wanted.list = true,
            other if other.starts_with('-') => {
                bail!("unknown option {other}; known: --cluster NAME, --list, and names of tests")
            }
            name => wanted.filters.push(name.to_owned()),
        }
    }
    Ok(wanted)
}

/// Runs what is wanted; `None` when only the names were.
fn run(tests: &[Test]) -> Result<Option<Vec<Outcome>>> {
    let wanted = arguments()?;
    let chosen: Vec<Test> = tests.iter().filter(|test| is_wanted(test.name, &wanted.filters)).copied().collect();
    if wanted.list {
        chosen.iter().for_each(|test| eprintln!("{}", test.name));
        return Ok(None);
    }
    let name = wanted.cluster.context(
        "these tests need a cluster with the mesh installed: run `cargo xtask test`, or name one with --cluster or TULLE_E2E_CLUSTER",
    )?;
    interrupt::listen();
    let cluster = Cluster::load(&name)?;
    let watch = Arc::new(PlaintextWatch::start(&cluster)?);
    let outcomes = Mutex::new(Vec::new());
    let note = |outcome| outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    let (together, alone): (Vec<Test>, Vec<Test>) = chosen.iter().partition(|test| test.kind != Kind::Alone);
    thread::scope(|scope| {
        for test in together {
            if interrupt::requested() {
                break;
            }
            let (cluster, watch) = (&cluster, &watch);
            if test.kind == Kind::Background {
                scope.spawn(move || note(execute(&test, cluster, watch)));
            } else {
                note(execute(&test, cluster, watch));
            }
        }
    });
    for test in alone {
        if !interrupt::requested() {
            note(execute(&test, &cluster, &watch));
        }
    }
    interrupt::check()?;
    Ok(Some(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn execute(test: &Test, cluster: &Cluster, watch: &Arc<PlaintextWatch>) -> Outcome {
    attempt(test.name, || {
        let context = Context::new(test.name, cluster)?;
        let result = verdict::guarded(|| (test.run)(&context)).and_then(|()| watch.expect_none());
        match &result {
            Ok(()) => context.clean_up(),
            Err(_) => diagnostics::save(&context),
        }
        result
    })
}
