//! (shell) What processes cost, read from /proc: CPU time in nanoseconds, memory in KiB; and signals to them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// The unit of /proc/stat: `USER_HZ` is 100 on every architecture Rust and the peers run on.
const TICK_NS: u64 = 10_000_000;

/// Memory of a set of processes in KiB (proc_pid_status(5)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// `VmRSS`: file pages of the program included.
    pub resident: u64,
    /// `RssAnon`: heap and stacks.
    pub anonymous: u64,
}

/// Child processes of all threads of `pid`; none when it is gone.
pub fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The processes and all their descendants (a worker of nginx, for one).
pub fn tree(roots: &[i32]) -> Vec<i32> {
    let mut found: Vec<i32> = Vec::new();
    let mut open = roots.to_vec();
    while let Some(pid) = open.pop() {
        if !found.contains(&pid) {
            found.push(pid);
            open.extend(children(pid));
        }
    }
    found
}

/// Nanoseconds on a CPU of all threads of these processes and their descendants.
///
/// From the scheduler's own count: clock ticks would round a window of 4 s by half a percent. Threads that have ended are missing.
pub fn cpu_ns(roots: &[i32]) -> u64 {
    let tasks = tree(roots)
        .into_iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
        .flat_map(|tasks| tasks.flatten());
    tasks.filter_map(|task| first_number(&fs::read_to_string(task.path().join("schedstat")).ok()?)).sum()
}

/// Nanoseconds on a CPU of the calling thread.
pub fn own_thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

/// Memory of these processes and their descendants.
pub fn memory(roots: &[i32]) -> Memory {
    let mut sum = Memory::default();
    for pid in tree(roots) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident += field(&status, "VmRSS:");
        sum.anonymous += field(&status, "RssAnon:");
    }
    sum
}

/// Nanoseconds that the CPUs of the machine were not idle, time taken by other guests of its host included (proc_stat(5)).
pub fn machine_ns() -> u64 {
    busy_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default()) * TICK_NS
}

/// Of the first line: user, nice, system, (idle, iowait,) irq, softirq, steal.
fn busy_ticks(stat: &str) -> u64 {
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum()
}

/// Nanoseconds of CPU time that children of ours used which have ended and were waited for (`cutime` and `cstime` of proc_pid_stat(5)).
pub fn ended_children_ns() -> u64 {
    ended_children_ticks(&fs::read_to_string("/proc/self/stat").unwrap_or_default()) * TICK_NS
}

/// Fields 16 and 17; the name, field 2, may hold blanks and ends with the last parenthesis.
fn ended_children_ticks(stat: &str) -> u64 {
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// Sends `signal`; a process that is gone needs none.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// A `kB` field of /proc/PID/status; 0 where it is absent.
fn field(status: &str, name: &str) -> u64 {
    status.lines().find_map(|line| line.strip_prefix(name)).and_then(first_number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_sums_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tx\nVmRSS:\t    8012 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "RssAnon:"), field(status, "VmPin:")), (8012, 1024, 0));
        assert_eq!(ended_children_ticks("7 (a b) c) S 1 7 7 0 -1 4 1 2 3 4 10 20 300 40 20 0 1"), 340);
        assert_eq!(busy_ticks("cpu  10 2 3 1000 50 4 5 6 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"), 30);
    }

    #[test]
    fn this_process_costs_something() {
        let own = std::process::id().cast_signed();
        assert!(cpu_ns(&[own]) > 0 && memory(&[own]).resident > 0);
    }
}
