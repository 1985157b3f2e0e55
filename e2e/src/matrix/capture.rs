//! (shell) What crosses a server's wire, to be asked while it goes on.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::rooms::{Program, Room};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(120);

/// All TCP that crosses a server's wire.
pub struct Captured {
    file: PathBuf,
    at: SocketAddr,
    _tcpdump: Program,
}

impl Captured {
    pub(super) fn start(room: &Room, folder: &Path, name: &str, at: SocketAddr) -> Result<Self> {
        let file = folder.join(format!("{name}.pcap"));
        let mut tcpdump = Command::new("tcpdump");
        // Each packet into the file at once, and as root, whose folder it is. With the length of packets their places in the kernel's
        // buffer grow, and what finds none is lost.
        tcpdump.args(["-i", "eth0", "-n", "-U", "--immediate-mode", "-s", "2048", "-B", "16384", "-Z", "root", "-w"]);
        tcpdump.arg(&file).arg("tcp");
        let tcpdump = Program::start(room, folder, &format!("{name}-capture"), tcpdump, None)?;
        wait::until(LIMIT, "tcpdump to listen", || Ok(tcpdump.said().contains("listening on").then_some(())))?;
        Ok(Self { file, at, _tcpdump: tcpdump })
    }

    /// Waits until all that has crossed the wire is in the file: what is sent after it is.
    pub(super) fn catch_up(&self, from: &Room, client: &str) -> Result<()> {
        let last = format!("last-of-{client}");
        from.run(|| Ok(TcpStream::connect_timeout(&self.at, LIMIT)?.write_all(format!("GET /{last}").as_bytes())?))?;
        wait::until(LIMIT, "tcpdump to catch up", || Ok(self.saw(&last).then_some(())))
    }

    /// Whether a packet has these bytes.
    pub(super) fn saw(&self, text: &str) -> bool {
        let packets = fs::read(&self.file).unwrap_or_default();
        packets.windows(text.len()).any(|window| window == text.as_bytes())
    }
}
