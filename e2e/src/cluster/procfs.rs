//! Processes as /proc shows them: identities that survive the reuse of numbers, and numbers seen from inside a node.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process for good: numbers are reused, a number together with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pub(super) pid: i32,
    /// Clock ticks after boot (proc_pid_stat(5), field 22).
    start: u64,
}

impl ProcessId {
    /// The process that has the number `pid` now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::parse(&stat)?;
        // A zombie has ended; its parent just has not looked yet.
        (stat.state != 'Z').then_some(Self { pid, start: stat.start })
    }

    pub(super) fn of_this_process() -> Result<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get()).context("/proc does not show this process")
    }

    pub(super) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal if the process is still the same one.
    pub(super) fn signal(self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else { return Ok(()) };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot signal process {}", self.pid)),
        }
    }
}

/// The fields of /proc/PID/stat that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    start: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The name (field 2) may hold anything, so count from the last parenthesis: what follows is field 3.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        Some(Self { state, start: fields.nth(18)?.parse().ok()? })
    }
}

/// Numbers of all processes.
pub(super) fn all() -> Result<Vec<i32>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The arguments of a process, empty when it has none or is gone.
pub(super) fn arguments(pid: i32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

/// The numbers of a process from the outermost to its own process namespace.
pub(super) fn nested_numbers(pid: i32) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Finds the process that is number `inner` in the process namespace whose process 1 is `init`.
pub(super) fn find_inner(init: i32, inner: i32) -> Result<Option<ProcessId>> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(node) = namespace(init) else { return Ok(None) };
    let matches = |pid: &i32| nested_numbers(*pid).last() == Some(&inner) && namespace(*pid).as_ref() == Some(&node);
    Ok(all()?.into_iter().find(matches).and_then(ProcessId::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 10";
        assert_eq!(Stat::parse(stat), Some(Stat { state: 'S', start: 98_765 }));
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn this_process_is_alive_and_its_number_at_another_time_is_not() {
        let this = ProcessId::of_this_process().expect("this process");
        assert!(this.is_alive());
        assert!(!ProcessId { start: this.start + 1, ..this }.is_alive());
    }
}
