//! What crosses the wire between pods, byte for byte.

mod pcap;
mod tls;

use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

pub use pcap::{Endpoints, Streams};
pub use tls::{Hello, X25519_MLKEM768, server_hello};

use crate::cluster::Node;
use crate::wait;

/// tcpdump opens its socket within milliseconds of its start.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A capture in progress.
pub struct Capture {
    process: Child,
    file: PathBuf,
}

impl Capture {
    /// Captures all TCP between the two addresses on their way through the node.
    pub fn start(node: &Node, one: IpAddr, other: IpAddr) -> Result<Self> {
        let folder = node.folder().join("capture");
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{one}-{other}.pcap").replace(':', "_"));
        let log = folder.join("tcpdump.log");
        let mut command = node.command("tcpdump")?;
        // Whole packets, each into the file at once (the kernel would gather them for a second), and as root, whose folder it is.
        command.args(["-i", "any", "-n", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w"]).arg(&file);
        command.arg(format!("tcp and host {one} and host {other}"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let capture = Self { process, file };
        wait::until(START_DEADLINE, "tcpdump to listen", || {
            Ok(fs::read_to_string(&log)?.contains("listening on").then_some(()))
        })?;
        Ok(capture)
    }

    /// Ends the capture and reassembles its streams.
    pub fn finish(mut self) -> Result<Streams> {
        // `nsenter --pid` forks, so the signal goes to its child: tcpdump itself.
        let children = format!("/proc/{0}/task/{0}/children", self.process.id());
        for child in fs::read_to_string(&children)?.split_whitespace() {
            let pid = Pid::from_raw(child.parse()?).context("a process number is above 0")?;
            kill_process(pid, Signal::INT)?;
        }
        let status = self.process.wait()?;
        if !status.success() {
            bail!("tcpdump failed: {status}");
        }
        pcap::streams(&fs::read(&self.file).context("tcpdump wrote no file")?)
    }
}

/// Reads a file that tcpdump wrote on interface `any`.
pub fn streams_in(file: &Path) -> Result<Streams> {
    pcap::streams(&fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.file);
    }
}
