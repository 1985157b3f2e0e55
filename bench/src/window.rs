//! (shell) One measured window: a load generator runs, and the counters of all roles are read at its beginning and its end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tulle_e2e::{command, interrupt};

use crate::load::Seen;
use crate::rooms::Cpus;
use crate::scenarios::{Scenario, Tool};
use crate::targets::{Role, Target};
use crate::{parse, process};

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
}

impl Window {
    /// CPU time of both sidecars for one request, in microseconds.
    pub(crate) fn cpu_us(&self, role: &str) -> f64 {
        self.cpu_ns.get(role).copied().unwrap_or_default() as f64 / 1e3 / self.seen.requests as f64
    }

    /// The same for both sidecars together.
    pub(crate) fn sidecars_us(&self) -> f64 {
        self.cpu_us(Role::Outbound.name()) + self.cpu_us(Role::Inbound.name())
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
    let command = command_of(scenario.tool, address, seconds);
    let limit = Duration::from_secs_f64(seconds) + PATIENCE;
    let children = process::ended_children_ns();
    let run = Run::start(target, command, cpus)?;
    let (output, begin, end) = run.wait(target, limit).with_context(|| format!("{} {}", target.name, scenario.name))?;
    let mut seen: Seen = match scenario.tool {
        Tool::Rate(_) | Tool::Pump { .. } => serde_json::from_str(output.lines().last().unwrap_or_default())
            .context("the load generator said nothing")?,
        Tool::Wrk { .. } => parse::wrk(&output)?,
    };
    if seen.cpu_ns == 0 {
        seen.cpu_ns = process::ended_children_ns() - children;
    }
    Ok(window(target, scenario, round, seen, &begin, &end))
}

fn window(target: &Target, scenario: &Scenario, round: usize, seen: Seen, begin: &Counters, end: &Counters) -> Window {
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
        round,
        seen,
        cpu_ns,
        foreign_cpus: (foreign / elapsed).max(0.0),
        resident_kib: resident.into(),
    }
}

fn command_of(tool: Tool, address: SocketAddr, seconds: f64) -> Command {
    let ours = |mode: &str| {
        // This program: its load generator is a hidden command.
        let mut command = Command::new("/proc/self/exe");
        command.args(["bench-load", mode]).arg(address.to_string()).arg(format!("--seconds={seconds}"));
        command
    };
    match tool {
        Tool::Rate(rate) => {
            let mut command = ours("rate");
            command.arg(format!("--rate={rate}"));
            command
        }
        Tool::Pump { path } => {
            let mut command = ours("pump");
            command.arg(format!("--path={path}"));
            command
        }
        Tool::Wrk { connections, close } => {
            let mut command = Command::new("wrk");
            command.args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{}s", seconds.ceil())]);
            if close {
                command.args(["-H", "connection: close"]);
            }
            command.arg(format!("http://{address}/"));
            command
        }
    }
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
