//! Running tests so that the failure of one does not hide the others, and saying what became of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// What became of a test.
#[derive(Debug)]
pub struct Outcome {
    test: &'static str,
    took: Duration,
    error: Option<String>,
}

/// Runs a test, announced and timed.
pub fn attempt(test: &'static str, run: impl FnOnce() -> Result<()>) -> Outcome {
    eprintln!("test {test} ...");
    let start = Instant::now();
    let result = guarded(run);
    let took = start.elapsed();
    let error = result.err().map(|error| format!("{error:#}"));
    match &error {
        None => eprintln!("test {test}: ok in {:.1} s", took.as_secs_f64()),
        Some(error) => eprintln!("test {test}: FAILED in {:.1} s: {error}", took.as_secs_f64()),
    }
    Outcome { test, took, error }
}

/// A panic as an error.
pub fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(anyhow!("panicked: {}", words_of(&*panic))))
}

/// Says it all once more; the last line is what `cargo xtask test` counts.
pub fn conclude(outcomes: &[Outcome]) -> ExitCode {
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| Some((outcome, outcome.error.as_ref()?))).collect();
    for (outcome, error) in &failures {
        eprintln!("\nFAILED {} after {:.0} s: {error}", outcome.test, outcome.took.as_secs_f64());
    }
    eprintln!("\n{} passed, {} failed", outcomes.len() - failures.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a test was asked for: by the beginning of its name, or because nothing was.
pub fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|beginning| name.starts_with(beginning.as_str()))
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_words() {
        let error = guarded::<()>(|| panic!("seven")).expect_err("it panicked");
        assert_eq!(error.to_string(), "panicked: seven");
    }

    #[test]
    fn names_are_chosen_by_their_beginning() {
        let wanted = ["mtls".to_owned()];
        assert!(is_wanted("mtls-wire", &wanted) && is_wanted("any", &[]) && !is_wanted("a-mtls", &wanted));
    }
}
