//! (shell) A program that runs for a while: its log, whether it still lives, and its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Cpus, Room, process};
use crate::command;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;

/// Lines of a log quoted when its program ended.
const QUOTED_LINES: usize = 15;

/// See the module. It is killed when this value is dropped.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` in `room`, on these CPUs, and writes what it says to `<folder>/<name>.log`.
    pub fn start(room: &Room, folder: &Path, name: &str, mut command: Command, cpus: Option<&Cpus>) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = room.spawn(command, cpus)?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Fails with the end of its log when it does not run any more.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}). It said:\n{}", self.name, self.said());
        }
        Ok(())
    }

    /// The last lines of its log.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        command::last_lines(&text, QUOTED_LINES)
    }

    /// Ends it now and waits until it is gone, its children with it.
    fn end(&mut self) {
        for pid in process::tree(&[self.pid()]) {
            process::signal(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}
