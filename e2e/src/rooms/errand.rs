//! (shell) A program that runs to its end in a room, under a deadline.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{Room, process};
use crate::{command, wait};

/// Lines quoted of a program that failed.
const QUOTED_LINES: usize = 20;

/// What a program left.
#[derive(Debug)]
pub struct Ended {
    name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The standard output of a success.
    ///
    /// # Errors
    /// It failed; the error quotes what it said.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        let said = command::last_lines(&format!("{}{}", self.stdout, self.stderr), QUOTED_LINES);
        bail!("{} failed ({}): {said}", self.name, self.status)
    }
}

impl Room {
    /// Runs a program to its end; one that takes longer than `limit` is killed, with what it started.
    ///
    /// # Errors
    /// It cannot be started, or it was killed. A failure of the program is no error here: see [`Ended::success`].
    pub fn finish(&self, mut command: Command, limit: Duration) -> Result<Ended> {
        let name = command::describe(&command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command, None)?;
        let readers = (reading(child.stdout.take()), reading(child.stderr.take()));
        let ended = wait::until(limit, &format!("{name} to end"), || Ok(child.try_wait()?));
        if ended.is_err() {
            for pid in process::tree(&[child.id().cast_signed()]) {
                process::signal(pid, Signal::KILL);
            }
            let _ = child.wait();
        }
        let [stdout, stderr] = [readers.0, readers.1].map(|reader| reader.join().unwrap_or_default());
        let status = ended.with_context(|| command::last_lines(&format!("{stdout}{stderr}"), QUOTED_LINES))?;
        Ok(Ended { name, status, stdout, stderr })
    }
}

fn reading(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
