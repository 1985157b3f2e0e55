//! (shell) One measured window: a load generator runs, and the counters of all roles are read at its beginning and its end.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tulle_e2e::rooms::{Cpus, process};
use tulle_e2e::{command, interrupt};

use crate::load::Seen;
use crate::scenarios::Scenario;
use crate::targets::{Role, Target};

/// A load generator that runs this much longer than it should is ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked after.
const PAUSE: Duration = Duration::from_millis(20);

/// What a window showed.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Window {
    pub(crate) target: String,
    pub(crate) scenario: &'static str,
    pub(crate) round: usize,
    pub(crate) seen: Seen,
    /// Nanoseconds of CPU time by role; the load generator's under `load`.
    pub(crate) cpu_ns: BTreeMap<&'static str, u64>,
    /// CPUs that nobody of ours used but were busy.
    pub(crate) foreign_cpus: f64,
    /// Resident memory at the end by role, KiB.
    pub(crate) resident_kib: BTreeMap<&'static str, u64>,
    /// Steps of a fixed loop for each microsecond of CPU time, before and after.
    pub(crate) speed: f64,
}

impl Window {
    /// CPU time of a role for one request, in microseconds.
    pub(crate) fn cpu_us(&self, role: &str) -> f64 {
        self.cpu_ns.get(role).copied().unwrap_or_default() as f64 / 1e3 / self.seen.requests as f64
    }

    /// The same for both sidecars together.
    pub(crate) fn sidecars_us(&self) -> f64 {
        self.cpu_us(Role::Outbound.name()) + self.cpu_us(Role::Inbound.name())
    }

    /// CPU time of a role for a GiB of bodies, in milliseconds.
    pub(crate) fn cpu_ms_per_gib(&self, role: &str) -> f64 {
        let gib = self.seen.bytes as f64 / f64::from(1 << 30);
        self.cpu_ns.get(role).copied().unwrap_or_default() as f64 / 1e6 / gib
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.seen.requests as f64 / self.seen.seconds
    }
}

/// Counters at one moment.
struct Counters {
    at: Instant,
    roles: [u64; 3],
    machine: u64,
}

impl Counters {
    fn read(target: &Target) -> Self {
        Self {
            at: Instant::now(),
            roles: Role::ALL.map(|role| process::cpu_ns(&target.pids(role))),
            machine: process::machine_ns(),
        }
    }
}

/// Loads `target` for `seconds` and reads the counters.
pub(crate) fn measure(
    target: &Target,
    scenario: &Scenario,
    seconds: f64,
    round: usize,
    cpus: Option<&Cpus>,
) -> Result<Window> {
    let address = target.entries.get(scenario.entry).context("the target has no such entry")?;
    let command = scenario.tool.command(address, seconds, &target.folder);
    let limit = Duration::from_secs_f64(seconds) + PATIENCE;
    let speed = speed();
    let children = process::ended_children_ns();
    let run = Run::start(target, command, cpus)?;
    let (output, begin, end) = run.wait(target, limit).with_context(|| format!("{} {}", target.name, scenario.name))?;
    let mut seen = scenario.tool.read(&output)?;
    if seen.cpu_ns == 0 {
        seen.cpu_ns = process::ended_children_ns() - children;
    }
    let window = window(target, scenario, seen, &begin, &end);
    Ok(Window { round, speed: f64::midpoint(speed, self::speed()), ..window })
}

fn window(target: &Target, scenario: &Scenario, seen: Seen, begin: &Counters, end: &Counters) -> Window {
    let mut cpu_ns: BTreeMap<&'static str, u64> =
        (0..3).map(|at| (Role::ALL[at].name(), end.roles[at].saturating_sub(begin.roles[at]))).collect();
    cpu_ns.insert("load", seen.cpu_ns);
    let ours: u64 = cpu_ns.values().sum();
    let elapsed = (end.at - begin.at).as_nanos() as f64;
    let foreign = end.machine.saturating_sub(begin.machine) as f64 - ours as f64;
    let resident = Role::ALL.map(|role| (role.name(), process::memory(&target.pids(role)).resident));
    Window {
        target: target.name.clone(),
        scenario: scenario.name,
        round: 0,
        seen,
        cpu_ns,
        foreign_cpus: (foreign / elapsed).max(0.0),
        resident_kib: resident.into(),
        speed: 0.0,
    }
}

/// Steps of a fixed loop for each microsecond of CPU time. Where it changes, the machine is not the same from window to window: its
/// host has other guests, or its clock changes.
fn speed() -> f64 {
    const STEPS: u32 = 2_000_000;
    let begin = clock_gettime(ClockId::ThreadCPUTime);
    let mut value = 1_u64;
    for step in 0..STEPS {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(step)));
    }
    let end = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = (end.tv_sec - begin.tv_sec) as f64 + (end.tv_nsec - begin.tv_nsec) as f64 / 1e9;
    f64::from(STEPS) / (seconds * 1e6)
}

/// A load generator that runs.
struct Run {
    child: Child,
    begin: Counters,
}

impl Run {
    fn start(target: &Target, mut command: Command, cpus: Option<&Cpus>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begin = Counters::read(target);
        Ok(Self { child: target.site.a.spawn(command, cpus)?, begin })
    }

    /// Waits for its end. Counters are read when it says `begin` and `end`; at its start and its end where it does not.
    fn wait(mut self, target: &Target, limit: Duration) -> Result<(String, Counters, Counters)> {
        let pid = self.child.id().cast_signed();
        let stdout = self.child.stdout.take().context("no output")?;
        let mut stderr = self.child.stderr.take().context("no error output")?;
        let (lines, said) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let (started, mut output) = (Instant::now(), String::new());
        let (mut begin, mut end) = (None, None);
        loop {
            match said.recv_timeout(PAUSE) {
                Ok(line) if line == "begin" => begin = Some(Counters::read(target)),
                Ok(line) if line == "end" => end = Some(Counters::read(target)),
                Ok(line) => output += &format!("{line}\n"),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => {}
            }
            if started.elapsed() > limit || interrupt::requested() {
                process::signal(pid, Signal::KILL);
            }
        }
        let after = Counters::read(target);
        let status = self.child.wait()?;
        let _ = reader.join();
        interrupt::check()?;
        if !status.success() {
            let complaints = complaints.join().unwrap_or_default();
            bail!("the load generator failed ({status}): {}", command::last_lines(&format!("{output}{complaints}"), 8));
        }
        Ok((output, begin.unwrap_or(self.begin), end.unwrap_or(after)))
    }
}
