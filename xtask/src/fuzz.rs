//! `cargo xtask fuzz`: builds the targets in `fuzz/targets` once and runs each for a while, as many at once as there are processors.
//!
//! A run begins with the committed seeds and with what earlier runs found, which is kept in `target/fuzz/corpus`. That of `cargo xtask
//! test` begins with the seeds alone and tries the same inputs each time.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use tulle_e2e::{command, host, interrupt, paths};

/// Longest input, in bytes: more than any rule of the parsers looks at together, and short enough for thousands a second.
const INPUT_BYTES_MAX: u32 = 4096;
/// Seconds after which a single input has taken too long.
const INPUT_SECONDS_MAX: u32 = 5;
/// How long each target runs where nobody says otherwise.
const BRIEF_SECONDS: u32 = 20;
/// Lines of a failed target that are shown.
const SHOWN_LINES: usize = 30;

/// Options of the fuzzing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = BRIEF_SECONDS)]
    seconds: u32,
    /// Name the targets and end
    #[arg(long)]
    list: bool,
    /// Targets by name; all without
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    if arguments.list {
        known.iter().for_each(|name| eprintln!("{name}"));
        return Ok(());
    }
    if let Some(unknown) = arguments.targets.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; `cargo xtask fuzz --list` names them");
    }
    let chosen = if arguments.targets.is_empty() { known } else { arguments.targets.clone() };
    let failed = all(&chosen, arguments.seconds, Inputs::Drawn)?;
    if failed > 0 {
        bail!("{failed} of {} targets failed; fix the parser and add a unit test with the input", chosen.len());
    }
    Ok(())
}

/// Which inputs are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inputs {
    /// Others each time, from what earlier runs found.
    Drawn,
    /// The same each time, from the committed seeds, as far as the time reaches: a change meets what it brought about itself.
    Same,
}

/// All targets for as long as a run of the tests has time for: how many passed, and how many failed.
pub(crate) fn briefly() -> Result<(u64, u64)> {
    let names = targets()?;
    let failed = all(&names, BRIEF_SECONDS, Inputs::Same)? as u64;
    Ok((names.len() as u64 - failed, failed))
}

/// Names of the files in `fuzz/targets`.
fn targets() -> Result<Vec<String>> {
    let folder = paths::repository().join("fuzz/targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        names.extend(entry?.file_name().to_string_lossy().strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds and runs targets; how many failed.
fn all(names: &[String], seconds: u32, inputs: Inputs) -> Result<usize> {
    interrupt::listen();
    host::ensure(host::FUZZING)?;
    build()?;
    let together = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed = 0;
    for group in names.chunks(together) {
        interrupt::check()?;
        let running: Vec<Run> = group.iter().map(|name| Run::start(name, seconds, inputs)).collect::<Result<_>>()?;
        for run in running {
            failed += usize::from(!run.finish()?);
        }
    }
    interrupt::check()?;
    Ok(failed)
}

fn build() -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::repository()).env("RUSTC_WORKSPACE_WRAPPER", paths::repository().join("fuzz/instrument"));
    cargo.args(["build", "--package", "tulle-fuzz", "--features", "libfuzzer", "--bins"]);
    command::run(&mut cargo).context("the fuzz targets cannot be built")?;
    Ok(())
}

/// A target at work.
struct Run {
    name: String,
    child: Child,
    log: PathBuf,
    crashes: PathBuf,
}

impl Run {
    fn start(name: &str, seconds: u32, inputs: Inputs) -> Result<Self> {
        let place = paths::repository().join("target/fuzz");
        let (kept, crashes) =
            (if inputs == Inputs::Drawn { "corpus" } else { "same" }, place.join("crashes").join(name));
        let corpus = place.join(kept).join(name);
        if inputs == Inputs::Same && corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&crashes)?;
        let log = place.join(format!("{name}.log"));
        let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut fuzzer = Command::new(program(name));
        fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
        // 0 is drawn.
        fuzzer.arg(format!("-seed={}", u8::from(inputs == Inputs::Same)));
        fuzzer.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg("-print_final_stats=1");
        fuzzer.arg(format!("-artifact_prefix={}/", crashes.display()));
        fuzzer.arg(&corpus).arg(paths::repository().join("fuzz/seeds").join(name));
        fuzzer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let child = fuzzer.spawn().with_context(|| format!("cannot start {}", command::describe(&fuzzer)))?;
        Ok(Self { name: name.to_owned(), child, log, crashes })
    }

    /// Whether it found nothing; says what it did.
    fn finish(mut self) -> Result<bool> {
        let status = self.child.wait()?;
        let output = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        if status.success() {
            eprintln!("{:12} {}", self.name, summary(&output));
            return Ok(true);
        }
        eprintln!("{}", command::last_lines(&output, SHOWN_LINES));
        match artifact(&output) {
            Some(file) => eprintln!(
                "{}: failed; the input is {file}, to run it again:\n  {} {file}",
                self.name,
                program(&self.name).display()
            ),
            None => eprintln!("{}: failed ({status}); inputs are in {}", self.name, self.crashes.display()),
        }
        Ok(false)
    }
}

fn program(name: &str) -> PathBuf {
    paths::repository().join("target/debug").join(name)
}

/// Inputs tried and what they covered. (pure)
fn summary(output: &str) -> String {
    let runs = output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let covered = output.lines().rev().find_map(|line| line.split_once("cov: ")?.1.split(' ').next());
    format!("{} inputs, {} places covered", runs.unwrap_or("?").trim(), covered.unwrap_or("no"))
}

/// The file with the input that failed. (pure)
fn artifact(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_prints_is_read() {
        let output =
            "#2\tINITED cov: 5 ft: 9\n#99\tDONE   cov: 42 ft: 77 corp: 3/9b\nstat::number_of_executed_units: 99\n";
        assert_eq!(summary(output), "99 inputs, 42 places covered");
        let crash = "artifact_prefix='x/'; Test unit written to x/crash-1\nBase64: \n";
        assert_eq!(artifact(crash), Some("x/crash-1"));
        assert_eq!(artifact(output), None);
    }
}
