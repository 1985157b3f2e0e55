//! Stages: announced with the time that is left, logged to a file, counted.

use std::fs::{self, File};
use std::ops::Add;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tulle_e2e::progress::Step;
use tulle_e2e::{command, interrupt, paths};

/// Lines of a failed stage that are shown; the file has the rest.
const SHOWN_LINES: usize = 40;

/// What passed and what did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Counts {
    pub(super) const PASSED: Self = Self { passed: 1, failed: 0 };
    pub(super) const FAILED: Self = Self { passed: 0, failed: 1 };

    /// Adds up the `test result:` lines of cargo. (pure)
    pub(super) fn of_cargo(output: &str) -> Self {
        let results = output.lines().filter_map(|line| line.trim().strip_prefix("test result: "));
        results.map(Self::of_words).fold(Self::default(), Add::add)
    }

    /// The number before `passed` and the one before `failed`. (pure)
    pub(super) fn of_words(line: &str) -> Self {
        let words: Vec<&str> = line.split([' ', ',', ';', '.']).filter(|word| !word.is_empty()).collect();
        let before =
            |name| words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse().ok()).unwrap_or(0);
        Self { passed: before("passed"), failed: before("failed") }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

/// One stage; it is given the names of cluster tests a person asked for.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    pub(super) expected: Duration,
    pub(super) run: fn(&[String]) -> Result<Counts>,
}

/// Stages in their order.
#[derive(Default)]
pub(super) struct Stages(Vec<Stage>);

impl Stages {
    pub(super) fn extend(&mut self, stages: &[Stage]) {
        self.0.extend_from_slice(stages);
    }

    /// Runs all; fails only when asked to stop.
    pub(super) fn run(&self, names: &[String]) -> Result<Counts> {
        let mut counts = Counts::default();
        for (number, stage) in self.0.iter().enumerate() {
            interrupt::check()?;
            let left: Duration = self.0[number..].iter().map(|stage| stage.expected).sum();
            eprintln!(
                "\n[{}/{}] {} (all that is left: about {} min)",
                number + 1,
                self.0.len(),
                stage.name,
                left.as_secs().div_ceil(60)
            );
            let start = Instant::now();
            let result = (stage.run)(names);
            let took = start.elapsed().as_secs_f64();
            match result {
                Ok(stage_counts) => {
                    eprintln!(
                        "[{}] {} passed, {} failed in {took:.0} s",
                        stage.name, stage_counts.passed, stage_counts.failed
                    );
                    counts = counts + stage_counts;
                }
                Err(error) => {
                    interrupt::check()?;
                    eprintln!("[{}] failed after {took:.0} s: {error:#}", stage.name);
                    counts = counts + Counts::FAILED;
                }
            }
        }
        Ok(counts)
    }
}

/// cargo in the root of the repository.
pub(super) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::repository()).args(arguments);
    cargo
}

/// Runs a command whose success is the whole of its news.
pub(super) fn checked(stage: &str, command: Command) -> Result<Counts> {
    let (success, _) = logged(stage, command)?;
    Ok(if success { Counts::PASSED } else { Counts::FAILED })
}

/// Runs a command with its output in a file below `target/test`, of which the end is shown if it fails.
pub(super) fn logged(stage: &str, mut command: Command) -> Result<(bool, String)> {
    let file = log_file(stage)?;
    let log = File::create(&file).with_context(|| format!("cannot write {}", file.display()))?;
    let step = Step::start(command::describe(&command), None);
    let status = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).status();
    let status = status.with_context(|| format!("cannot start {}", command::describe(&command)))?;
    let output = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
    if status.success() {
        step.done();
    } else {
        eprintln!("{}\n  all of it: {}", command::last_lines(&output, SHOWN_LINES), file.display());
    }
    Ok((status.success(), output))
}

fn log_file(stage: &str) -> Result<PathBuf> {
    let folder = paths::repository().join("target/test");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{}.log", stage.replace(' ', "-"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_added() {
        let output = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n\
                      noise\ntest result: FAILED. 3 passed; 1 failed; 0 ignored\n";
        assert_eq!(Counts::of_cargo(output), Counts { passed: 5, failed: 1 });
        assert_eq!(Counts::of_words("16 passed, 1 failed"), Counts { passed: 16, failed: 1 });
        assert_eq!(Counts::of_words("no numbers"), Counts::default());
    }
}
