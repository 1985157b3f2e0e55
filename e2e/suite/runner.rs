//! Which tests run in which order, and what is said about them.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tulle_e2e::plaintext::PlaintextWatch;
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

/// What became of a test.
struct Outcome {
    test: &'static str,
    took: Duration,
    error: Option<String>,
}

pub(crate) fn main(tests: &[Test]) -> ExitCode {
    match run(tests) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(outcomes)) => {
            let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
            for outcome in &outcomes {
                if let Some(error) = &outcome.error {
                    eprintln!("\nFAILED {} after {:.0} s: {error}", outcome.test, outcome.took.as_secs_f64());
                }
            }
            eprintln!("\n{} passed, {failed} failed", outcomes.len() - failed);
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
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

fn is_wanted(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.starts_with(filter.as_str()))
}

fn execute(test: &Test, cluster: &Cluster, watch: &Arc<PlaintextWatch>) -> Outcome {
    eprintln!("test {} ...", test.name);
    let start = Instant::now();
    let result = Context::new(test.name, cluster).and_then(|context| {
        let result = catch_unwind(AssertUnwindSafe(|| (test.run)(&context)))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", words_of(&*panic))))
            .and_then(|()| watch.expect_none());
        match &result {
            Ok(()) => context.clean_up(),
            Err(_) => diagnostics::save(&context),
        }
        result
    });
    let took = start.elapsed();
    let error = result.err().map(|error| format!("{error:#}"));
    match &error {
        None => eprintln!("test {}: ok in {:.1} s", test.name, took.as_secs_f64()),
        Some(error) => eprintln!("test {}: FAILED in {:.1} s: {error}", test.name, took.as_secs_f64()),
    }
    Outcome { test: test.name, took, error }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}
