//! The one way to wait: for a condition, under a deadline, saying what did not happen.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt;

/// Pause between two looks. Short against the seconds things take, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it answers `Some`, and fails after `deadline` with `what` and the last error it met.
///
/// An error from `look` counts as "not yet": a server that is starting answers with errors. A request to stop
/// ([`interrupt`]) ends the wait.
pub fn until<T>(deadline: Duration, what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    poll(deadline, what, look, interrupt::check)
}

/// Like [`until`], but a request to stop does not end it: for clean-ups, which run because of that request.
pub fn uninterrupted<T>(deadline: Duration, what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    poll(deadline, what, look, || Ok(()))
}

fn poll<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
    may_continue: impl Fn() -> Result<()>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        may_continue().with_context(|| format!("while waiting for {what}"))?;
        let missing = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() >= deadline {
            match missing {
                Some(error) => return Err(error.context(format!("waited {deadline:?} for {what}"))),
                None => bail!("waited {deadline:?} for {what}, which did not happen"),
            }
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_soon_as_the_condition_holds() {
        let mut looks = 0;
        let found = until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.expect("found"), 3);
    }

    #[test]
    fn names_what_did_not_happen_and_the_last_error() {
        let error = until::<()>(Duration::ZERO, "the moon", || bail!("clouds")).expect_err("never found");
        assert_eq!(format!("{error:#}"), "waited 0ns for the moon: clouds");
    }
}
