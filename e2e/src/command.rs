//! Running other programs, with errors that name the command and quote what it said.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};

/// Lines of standard error quoted in an error: enough for a cause, few enough to read.
const QUOTED_LINES: usize = 12;

/// Runs `command` to its end and returns its standard output; a failing exit status is an error.
pub fn run(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", describe(command)))?;
    judge(command, output)
}

/// Like [`run`], with `input` on the command's standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    let mut stdin = child.stdin.take().context("the child has no standard input")?;
    let input = input.to_owned();
    // Written from its own thread: a child that answers before it has read everything would block us both.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().with_context(|| format!("lost {}", describe(command)))?;
    // A broken pipe is the child's refusal, and its exit status says it better.
    drop(writer.join());
    judge(command, output)
}

/// Like [`run`], with the contents of `file` on the command's standard input.
pub fn run_with_file(command: &mut Command, file: File) -> Result<String> {
    let output = command.stdin(file).output().with_context(|| format!("cannot start {}", describe(command)))?;
    judge(command, output)
}

/// Like [`run`] for a command whose standard error a person wants to follow: it is passed on as it comes.
pub fn run_watched(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    judge(command, output.with_context(|| format!("cannot start {}", describe(command)))?)
}

fn judge(command: &Command, output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
    bail!(
        "{} failed ({}): {}",
        describe(command),
        output.status,
        last_lines(&String::from_utf8_lossy(said), QUOTED_LINES)
    )
}

/// The command as a person would type it, shortened: program name and arguments.
pub fn describe(command: &Command) -> String {
    const LONGEST: usize = 240; // beyond that an argument is a document, not an option
    let program = command.get_program().to_string_lossy();
    let mut line = program.rsplit('/').next().unwrap_or(&program).to_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST).chain("…".chars()).collect();
    }
    format!("`{line}`")
}

/// The last `count` lines of `text`, trimmed.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_quotes_its_words() {
        let error = run(Command::new("/bin/sh").args(["-c", "echo no such thing >&2; exit 3"])).expect_err("exit 3");
        let text = error.to_string();
        assert!(text.starts_with("`sh -c"), "{text}");
        assert!(text.ends_with("(exit status: 3): no such thing"), "{text}");
    }

    #[test]
    fn input_reaches_a_command_that_answers_early() {
        let input = "line\n".repeat(100_000);
        assert_eq!(run_with_input(&mut Command::new("cat"), &input).expect("cat"), input);
    }
}
