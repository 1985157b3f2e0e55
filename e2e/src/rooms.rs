//! (shell) The places programs run in: network namespaces below one process namespace, so that one kill ends everything.
//!
//! A room is held by a process that only sleeps. Its interfaces go when the room goes; nothing exists in the machine's own network.

pub mod errand;
pub mod process;
pub mod program;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};

pub use program::Program;

use crate::interrupt::{self, OnInterrupt};
use crate::{command, wait};

/// Making a namespace takes milliseconds; a loaded machine may take longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// CPUs a program may run on.
pub type Cpus = Vec<usize>;

/// All rooms of one run.
pub struct Building {
    /// `unshare`; when it dies, process 1 of the namespace dies, and with it every other process there.
    guard: Child,
    first: i32,
    processes: Arc<File>,
    holders: Mutex<Vec<Child>>,
    _on_interrupt: OnInterrupt,
}

/// One network namespace.
#[derive(Clone)]
pub struct Room {
    network: Arc<File>,
    processes: Arc<File>,
    holder: i32,
    first: i32,
}

impl Building {
    /// Makes the process namespace. It also ends when this thread's process is killed.
    pub fn new() -> Result<Self> {
        let mut unshare = Command::new("setpriv");
        unshare.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--pid",
            "--net",
            "--mount",
            "--fork",
            "--kill-child",
            "sleep",
            "infinity",
        ]);
        let mut guard = unshare
            .stdin(Stdio::null())
            .stderr(Stdio::null()) // util-linux 2.38 complains about a signal mask when its child is killed
            .process_group(0) // Ctrl-C is for us: we take things down in order
            .spawn()
            .context("cannot start unshare; is util-linux installed?")?;
        let number = guard.id().cast_signed();
        let first = wait::until(DEADLINE, "the process namespace", || {
            if let Some(status) = guard.try_wait()? {
                bail!("unshare ended ({status}); is this a container without CAP_SYS_ADMIN?");
            }
            Ok(process::children(number).first().copied().filter(|first| is_apart(*first, "net")))
        })?;
        let processes = Arc::new(namespace(first, "pid")?);
        let on_interrupt = interrupt::on_interrupt(move || kill(first));
        Ok(Self { guard, first, processes, holders: Mutex::default(), _on_interrupt: on_interrupt })
    }

    /// The room the namespace came with.
    pub fn hub(&self) -> Result<Room> {
        Ok(Room {
            network: Arc::new(namespace(self.first, "net")?),
            processes: Arc::clone(&self.processes),
            holder: self.first,
            first: self.first,
        })
    }

    /// Another room.
    pub fn room(&self) -> Result<Room> {
        let hub = self.hub()?;
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "infinity"]).stdin(Stdio::null());
        let child = hub.spawn(holder, None)?;
        let number = child.id().cast_signed();
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        let hub_network = fs::read_link(format!("/proc/{}/ns/net", self.first))?;
        wait::until(DEADLINE, "a network namespace", || {
            let network = fs::read_link(format!("/proc/{number}/ns/net"))?;
            Ok((network != hub_network).then_some(()))
        })?;
        Ok(Room { network: Arc::new(namespace(number, "net")?), holder: number, ..hub })
    }

    /// The network of a process that is none of the building's, e.g. of a pod: what is started there still ends with the building.
    pub fn around(&self, pid: i32) -> Result<Room> {
        Ok(Room { network: Arc::new(namespace(pid, "net")?), holder: pid, ..self.hub()? })
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        kill(self.first);
        // Process 1 is gone only when nobody of its namespace is left, and a zombie of ours counts; the guard ends with process 1.
        for holder in self.holders.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = holder.wait();
        }
        let _ = self.guard.wait();
    }
}

fn kill(first: i32) {
    if let Some(pid) = Pid::from_raw(first) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn namespace(pid: i32, kind: &str) -> Result<File> {
    let path = format!("/proc/{pid}/ns/{kind}");
    File::open(&path).with_context(|| format!("cannot open {path}"))
}

fn is_apart(pid: i32, kind: &str) -> bool {
    let link = |who: &str| fs::read_link(format!("/proc/{who}/ns/{kind}")).ok();
    link(&pid.to_string()).is_some_and(|found| Some(found) != link("self"))
}

impl Room {
    /// Process that holds the room, as `ip` wants it to name a namespace.
    pub fn holder(&self) -> i32 {
        self.holder
    }

    /// A command that runs `program` in the mount namespace of the building: what it mounts goes with the building.
    pub fn among_mounts(&self, program: &str) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--mount=/proc/{}/ns/mnt", self.first)).arg("--").arg(program);
        nsenter
    }

    /// Runs `work` on a thread in this network.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter_network()?;
                work()
            });
            thread.join().map_err(|_| anyhow!("work in a network namespace panicked"))?
        })
    }

    /// Starts `command` here, on these CPUs (`None`: on all). Its process number is the machine's.
    pub fn spawn(&self, mut command: Command, cpus: Option<&Cpus>) -> Result<Child> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if let Some(cpus) = cpus {
                    let mut set = CpuSet::new();
                    cpus.iter().for_each(|cpu| set.set(*cpu));
                    sched_setaffinity(None, &set).context("cannot choose CPUs")?;
                }
                self.enter_network()?;
                // Holds for children of this thread only.
                move_into_link_name_space(self.processes.as_fd(), Some(LinkNameSpaceType::ProcessID))
                    .context("cannot enter the process namespace")?;
                command.process_group(0);
                command.spawn().with_context(|| format!("cannot start {}", command::describe(&command)))
            });
            thread.join().map_err(|_| anyhow!("starting a process panicked"))?
        })
    }

    /// Configures this network with lines of `ip -batch`.
    pub fn ip(&self, script: &str) -> Result<()> {
        self.run(|| command::run_with_input(Command::new("ip").args(["-batch", "-"]), script).map(drop))
    }

    fn enter_network(&self) -> Result<()> {
        move_into_link_name_space(self.network.as_fd(), Some(LinkNameSpaceType::Network))
            .context("cannot enter a network namespace")
    }
}
