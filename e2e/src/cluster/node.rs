//! One node: its namespaces, and the programs started, stopped and found in them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::component::Component;
use super::procfs::{self, ProcessId};
use super::state::State;
use super::{Addresses, cgroups};
use crate::components::{PAUSE, Toolbox};
use crate::{command, paths, wait};

/// What a component may take to stop on SIGTERM: etcd and the API server finish requests first.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Making namespaces takes milliseconds; a loaded machine may take a little longer.
const BOOT_DEADLINE: Duration = Duration::from_secs(10);

/// Prepares the node's view of the machine, then becomes its process 1. `/run`, `/var/log` and `/var/lib` are the node's
/// own, because programs keep sockets, namespaces and records there under fixed names; the folders given from the third
/// argument on stay visible. Mounts propagate inside the node (pods may ask for it) and never out of it.
const INIT: &str = r#"set -e
name=$1 node=$2; shift 2
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
for folder in "$@"; do mkdir -p "/run/kept$folder"; mount --bind "$folder" "/run/kept$folder"; done
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t tmpfs -o mode=755 tmpfs /var/lib
for folder in "$@"; do mkdir -p "$folder"; mount --move "/run/kept$folder" "$folder"; done
mkdir /run/netns
mount --make-rshared /
echo "$name" > /proc/sys/kernel/hostname
for knob in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 > /proc/sys/net/$knob; done
ip link set lo up
exec "$0" node "$node""#;

/// Starts a program that outlives us in a session of its own, and prints its number in the node.
const LAUNCH: &str = r#"log=$1; shift; setsid "$@" < /dev/null >> "$log" 2>&1 & echo $!"#;

/// The name of node `number`.
pub(super) fn name(number: u8) -> String {
    format!("n{number}")
}

/// A node of a cluster.
#[derive(Debug, Clone)]
pub struct Node {
    number: u8,
    cluster: String,
    addresses: Addresses,
    folder: PathBuf,
}

/// How to start a component again, and the process it is now.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    program: PathBuf,
    arguments: Vec<String>,
    path: String,
    process: ProcessId,
}

impl Node {
    pub(super) fn new(cluster: &Path, state: &State, number: u8) -> Self {
        let folder = cluster.join(name(number));
        Self { number, cluster: state.name.clone(), addresses: state.addresses(), folder }
    }

    /// Its name in Kubernetes.
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Its number, counted from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The folder with its state and logs (`log/<component>.log`).
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its IPv4 address.
    pub fn address(&self) -> std::net::Ipv4Addr {
        self.addresses.node(self.number)
    }

    /// The cgroup its pods are in.
    pub fn cgroup(&self) -> String {
        cgroups::name(&self.cluster, &self.name())
    }

    /// The components this node should run.
    pub fn components(&self) -> Vec<Component> {
        let control_plane = if self.number == 1 { Component::CONTROL_PLANE } else { &[] };
        control_plane.iter().chain(Component::NODE).copied().collect()
    }

    /// Makes the namespaces and process 1.
    pub(super) fn boot(&self, tools: &Toolbox) -> Result<()> {
        for folder in ["log", "process", "cni", "pod-logs"] {
            fs::create_dir_all(self.folder.join(folder))?;
        }
        let mut unshare = Command::new("setsid");
        unshare.args(["unshare", "--net", "--uts", "--pid", "--fork", "--mount", "--propagation", "private"]);
        unshare.args(["sh", "-c", INIT]).arg(tools.program(&PAUSE, "pause")).arg(self.name()).arg(&self.folder);
        unshare.arg(paths::cache()).args(self.folder.parent());
        let log = self.folder.join("log/init.log");
        let output = File::create(&log)?;
        let mut child = unshare
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start unshare")?;
        wait::until(BOOT_DEADLINE, &format!("the namespaces of node {}", self.name()), || {
            if let Some(status) = child.try_wait()? {
                bail!("they could not be made ({status}): {}", fs::read_to_string(&log).unwrap_or_default().trim());
            }
            // The pause program has taken over from the shell: everything is mounted.
            Ok(self
                .init()?
                .filter(|init| procfs::arguments(init.pid).get(1).is_some_and(|argument| argument == "node")))
        })?;
        // `unshare` stays until the node ends; whoever is left then must not find a zombie.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// Process 1 of this node, known by having the node's folder as an argument and the number 1 in its namespace. This
    /// holds from its first moment on, so a node that was interrupted half-way is found as well.
    pub(super) fn init(&self) -> Result<Option<ProcessId>> {
        let folder = self.folder.display().to_string();
        let is_init = |pid: &i32| {
            procfs::arguments(*pid).contains(&folder) && matches!(procfs::nested_numbers(*pid)[..], [_, .., 1])
        };
        Ok(procfs::all()?.into_iter().find(is_init).and_then(ProcessId::of))
    }

    /// The number of process 1 as seen from the machine, for `nsenter` and packet captures.
    pub fn init_pid(&self) -> Result<i32> {
        Ok(self
            .init()?
            .with_context(|| format!("node {} of cluster {} is not running", self.name(), self.cluster))?
            .pid)
    }

    /// A command that runs `program` inside the node: its network, mounts, processes and host name.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        // Never `ip netns exec`: it mounts a new /sys, and the cgroups are gone from sight.
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.init_pid()?.to_string());
        command.args(["--net", "--mount", "--uts", "--pid", "--"]).arg(program);
        Ok(command)
    }

    /// A command that runs `program` in the network of the pod with this uid, with the machine's files (for `tcpdump`).
    pub fn pod_command(&self, pod_uid: &str, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let pids = self.pod_pids(pod_uid)?;
        let pid = pids.first().with_context(|| format!("no process of pod {pod_uid} runs on node {}", self.name()))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{pid}/ns/net")).arg("--").arg(program);
        Ok(command)
    }

    /// Processes of the pod with this uid, as seen from the machine; the sandbox's is among them.
    pub fn pod_pids(&self, pod_uid: &str) -> Result<Vec<i32>> {
        cgroups::processes(&self.cgroup(), &format!("pod{pod_uid}"))
    }

    /// Starts a component for the first time.
    pub(super) fn launch(
        &self,
        tools: &Toolbox,
        component: Component,
        program: PathBuf,
        arguments: Vec<String>,
    ) -> Result<()> {
        let folders: Vec<String> = tools.folders().map(|folder| folder.display().to_string()).collect();
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folders.join(":"));
        self.spawn(component, program, arguments, path)
    }

    fn spawn(&self, component: Component, program: PathBuf, arguments: Vec<String>, path: String) -> Result<()> {
        let mut launch = self.command("sh")?;
        launch.env_clear().env("PATH", &path).env("HOME", "/root");
        launch.args(["-c", LAUNCH, "sh"]).arg(self.log(component)).arg(&program).args(&arguments);
        let inner = command::run(&mut launch).with_context(|| format!("cannot start {component}"))?;
        let inner = inner.trim().parse().with_context(|| format!("{component} started without a process number"))?;
        let process = procfs::find_inner(self.init_pid()?, inner)?;
        let process =
            process.with_context(|| format!("{component} ended at once; see {}", self.log(component).display()))?;
        let record = Record { program, arguments, path, process };
        fs::write(self.record(component), serde_json::to_vec_pretty(&record)?).context("cannot record a process")
    }

    /// The log of a component.
    pub fn log(&self, component: Component) -> PathBuf {
        self.folder.join(format!("log/{component}.log"))
    }

    fn record(&self, component: Component) -> PathBuf {
        self.folder.join(format!("process/{component}.json"))
    }

    fn read_record(&self, component: Component) -> Result<Option<Record>> {
        match fs::read(self.record(component)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).context("a process record is damaged"),
            Err(_) => Ok(None),
        }
    }

    /// The process number of a component as seen from the machine; `None` when it does not run.
    pub fn pid(&self, component: Component) -> Result<Option<i32>> {
        let record = self.read_record(component)?;
        Ok(record.map(|record| record.process).filter(|process| process.is_alive()).map(|process| process.pid))
    }

    /// Sends a signal to a component, e.g. [`Signal::KILL`]; does not wait.
    pub fn signal(&self, component: Component, signal: Signal) -> Result<()> {
        let record = self
            .read_record(component)?
            .with_context(|| format!("{component} was never started on {}", self.name()))?;
        record.process.signal(signal)
    }

    /// Kills a component with SIGKILL and waits until it is gone.
    pub fn kill(&self, component: Component) -> Result<()> {
        self.end(component, Signal::KILL)
    }

    /// Stops a component with SIGTERM and waits until it is gone.
    pub fn stop(&self, component: Component) -> Result<()> {
        self.end(component, Signal::TERM)
    }

    fn end(&self, component: Component, signal: Signal) -> Result<()> {
        self.signal(component, signal)?;
        wait::until(STOP_DEADLINE, &format!("{component} to end"), || Ok(self.pid(component)?.is_none().then_some(())))
    }

    /// Starts a component again with the arguments it had. Does nothing when it runs.
    pub fn start(&self, component: Component) -> Result<()> {
        if self.pid(component)?.is_some() {
            return Ok(());
        }
        let record = self
            .read_record(component)?
            .with_context(|| format!("{component} was never started on {}", self.name()))?;
        self.spawn(component, record.program, record.arguments, record.path)
    }
}
