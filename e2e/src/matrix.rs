//! Calls of every kind, each with what must become of it: seven protocols in both families, made side by side by one program in the network
//! of a client, and judged by what it was answered and by what a capture at the server saw: between sidecars never the message, without
//! one always.

mod capture;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::bare::certificates::{Authority, Subject};
use crate::rooms::Room;
pub use capture::Captured;

/// Each protocol and the port where it is spoken; the test application speaks all but the last.
const PROTOCOLS: [(&str, u16); 7] = [
    ("http1", 8080),
    ("h2c", 8080),
    ("grpc", 8080),
    ("websocket", 8080),
    ("tcp", 9000),
    ("server-first", 9001),
    ("tls", TLS),
];
/// Ports of a server.
pub const PORTS: [u16; 4] = [8080, 9000, 9001, TLS];
/// Where [`Peers::tls_server`] listens.
pub const TLS: u16 = 9443;
/// Where [`Peers::loopback_server`] listens, on loopback alone.
pub const LOOPBACK: u16 = 8099;
/// Whether an address is of a family.
pub type IsOf = fn(&IpAddr) -> bool;
const FAMILIES: [(&str, IsOf); 2] = [("IPv4", IpAddr::is_ipv4), ("IPv6", IpAddr::is_ipv6)];
const LIMIT: Duration = Duration::from_secs(120);

const CALL: &str = include_str!("matrix/call.py");
const TLS_SERVER: &str = include_str!("matrix/tls.py");

/// What must become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered, and the message crossed the wire encrypted.
    Hidden,
    /// It is answered, and the message could be read on the wire.
    Open,
    /// The mesh refuses it.
    Denied,
    /// It is not answered, whatever it is told.
    Unserved,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Cell {
    name: String,
    protocol: &'static str,
    to: SocketAddr,
    server: &'static str,
    fate: Fate,
}

/// A call of each protocol in each family. `at` says where a server's port is reached.
///
/// # Errors
/// Those of `at`.
pub fn each(
    way: &str,
    server: &'static str,
    fate: Fate,
    at: impl Fn(u16, IsOf) -> Result<SocketAddr>,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for (protocol, port) in PROTOCOLS {
        for (family, is_of) in FAMILIES {
            let name = format!("{way}-{protocol}-{family}");
            cells.push(Cell { name, protocol, to: at(port, is_of)?, server, fate });
        }
    }
    Ok(cells)
}

/// A way past the inbound side, which must lead nowhere.
pub fn past(client: &str, server: &'static str, to: SocketAddr) -> Cell {
    let name = format!("{client}-past-{}", to.port());
    Cell { name, protocol: "http1", to, server, fate: Fate::Unserved }
}

/// What no other call says.
fn marker(cell: &Cell) -> String {
    format!("cell-{}-end", cell.name)
}

/// The programs of the matrix, as files.
pub struct Peers {
    folder: PathBuf,
    authority: Authority,
}

impl Peers {
    /// Writes them into a folder.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(folder: &Path) -> Result<Self> {
        let authority = Authority::new(folder, "matrix")?;
        authority.issue(&Subject {
            file: "server",
            common_name: "cell.test",
            dns: &["cell.test"],
            ..Subject::default()
        })?;
        fs::write(folder.join("call.py"), CALL)?;
        fs::write(folder.join("tls.py"), TLS_SERVER)?;
        Ok(Self { folder: folder.to_owned(), authority })
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(self.folder.join(script));
        command
    }

    /// Sends back what it gets over TLS, at [`TLS`].
    pub fn tls_server(&self) -> Command {
        let mut tls = self.python("tls.py");
        tls.args([&TLS.to_string(), &self.authority.path("server.pem")]);
        tls
    }

    /// Gives files to whoever reaches [`LOOPBACK`] there.
    pub fn loopback_server(&self) -> Command {
        let mut loopback = Command::new("/usr/bin/python3");
        loopback.current_dir(&self.folder).args(["-m", "http.server", &LOOPBACK.to_string(), "--bind", "127.0.0.1"]);
        loopback
    }

    /// Captures what reaches a server from now on; `at` is a port of it that answers.
    ///
    /// # Errors
    /// tcpdump does not start.
    pub fn capture(&self, room: &Room, name: &str, at: SocketAddr) -> Result<Captured> {
        Captured::start(room, &self.folder, name, at)
    }

    /// Makes the calls of each client, and fails with all that went otherwise than it must. `stranger` is a place without a sidecar, from
    /// where the captures are told when to look.
    ///
    /// # Errors
    /// See above; or the calls cannot be made.
    pub fn check(
        &self,
        calls: &[(&str, Room, Vec<Cell>)],
        captures: &BTreeMap<&str, Captured>,
        stranger: &Room,
    ) -> Result<()> {
        let mut wrong = Vec::new();
        for (client, from, cells) in calls {
            let outcomes = self.call(from, client, cells)?;
            captures.values().try_for_each(|capture| capture.catch_up(stranger, client))?;
            wrong.extend(cells.iter().filter_map(|cell| judge(cell, &outcomes, captures).err()));
        }
        let all: usize = calls.iter().map(|(_, _, cells)| cells.len()).sum();
        ensure!(wrong.is_empty(), "{} of {all} calls:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    }

    /// What became of each call, by its name.
    fn call(&self, from: &Room, client: &str, cells: &[Cell]) -> Result<BTreeMap<String, String>> {
        let asked = cells.iter().map(|cell| {
            json!({
                "name": cell.name, "protocol": cell.protocol, "marker": marker(cell),
                "host": cell.to.ip(), "port": cell.to.port(),
            })
        });
        let file = self.folder.join(format!("{client}.json"));
        fs::write(&file, json!(asked.collect::<Vec<_>>()).to_string())?;
        let mut call = self.python("call.py");
        call.arg(file).arg(self.authority.path("ca.crt"));
        let said = from.finish(call, LIMIT)?.success()?;
        serde_json::from_str(&said).with_context(|| format!("no outcomes: {said}"))
    }
}

/// What is wrong with what became of a call.
fn judge(cell: &Cell, outcomes: &BTreeMap<String, String>, captures: &BTreeMap<&str, Captured>) -> Result<(), String> {
    let outcome = outcomes.get(&cell.name).map_or("nothing", String::as_str);
    let wrong = |what: &str| Err(format!("{} to {}: {what}", cell.name, cell.to));
    let speaks_http = !matches!(cell.protocol, "tcp" | "tls" | "server-first");
    let right = match cell.fate {
        Fate::Hidden | Fate::Open => outcome == "served",
        Fate::Denied => outcome == if speaks_http { "denied" } else { "closed" },
        Fate::Unserved => outcome != "served",
    };
    if !right {
        return wrong(&format!("{outcome}, and not {:?}", cell.fate));
    }
    // TLS of the application hides the message anyway.
    let seen = captures[cell.server].saw(&marker(cell));
    match (cell.fate, seen) {
        (Fate::Hidden, true) => wrong("the message could be read on the wire"),
        (Fate::Open, false) if cell.protocol != "tls" => wrong("the message was not seen on the wire"),
        _ => Ok(()),
    }
}
