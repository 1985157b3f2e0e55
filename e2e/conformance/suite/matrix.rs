//! Every kind of call from every kind of client to every kind of server, in both families, generated: seven protocols, of which none is
//! declared, from pods with and without a sidecar, to pods with a sidecar (by Service, by headless Service and pod address, with and
//! without plaintext being let in), without one, and outside the cluster. Beside them the ways past the inbound side: the sidecar's own
//! ports, and an application that listens on loopback alone (T11 in docs/threats.md).
//!
//! A capture at each server tells what crossed the wire: between sidecars never the message, without one always.
//!
//! Fails when: a call that should work does not, one that should be refused is served, or what is said between sidecars can be read.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tulle_conformance::{Context, Plan, Pod, Site};
use tulle_core::sidecar::{ADMIN_PORT, INBOUND_PORT, OUTBOUND_PORT};
use tulle_e2e::bare::certificates::{Authority, Subject};
use tulle_e2e::rooms::Program;
use tulle_e2e::{host, wait};

/// Each protocol and the port where it is spoken.
const PROTOCOLS: [(&str, u16); 7] = [
    ("http1", 8080),
    ("h2c", 8080),
    ("grpc", 8080),
    ("websocket", 8080),
    ("tcp", 9000),
    ("server-first", 9001),
    ("tls", 9443),
];
const PORTS: [u16; 4] = [8080, 9000, 9001, 9443];
/// Where an application listens on loopback alone.
const LOOPBACK: u16 = 8099;
/// Whether an address is of a family.
type IsOf = fn(&IpAddr) -> bool;
const FAMILIES: [(&str, IsOf); 2] = [("IPv4", IpAddr::is_ipv4), ("IPv6", IpAddr::is_ipv6)];
/// Pods that serve: with a sidecar, with one that lets plaintext in, without, and outside the cluster.
const SERVERS: [&str; 4] = ["strict", "open", "plain", "outside"];
const LIMIT: Duration = Duration::from_secs(120);

const CALL: &str = include_str!("matrix/call.py");
const TLS: &str = include_str!("matrix/tls.py");

/// What must become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
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
struct Cell {
    name: String,
    protocol: &'static str,
    to: SocketAddr,
    server: &'static str,
    fate: Fate,
}

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let ports = PORTS.map(|port| (port, None));
    let plan = Plan::new().meshed("meshed").unmeshed("unmeshed").meshed("strict").meshed("open").unmeshed("plain");
    let plan = plan.outside("outside").headless("headless", "strict", &ports);
    let plan = plan.service("strict", "strict", &ports).service("plain", "plain", &ports).rules([json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "open"},
        "spec": {"selector": {"matchLabels": {"app": "open"}}, "mtls": {"mode": "PERMISSIVE"}},
    })]);
    let site = context.site(&plan)?;
    let peers = Peers::write(context)?;
    let mut captures = BTreeMap::new();
    for name in SERVERS {
        let pod = site.pod(name)?;
        peers.serve(context, pod)?;
        captures.insert(name, Captured::start(&peers, name, pod)?);
    }
    for (client, cells) in [("meshed", from_meshed(&site)?), ("unmeshed", from_unmeshed(&site)?)] {
        let outcomes = peers.call(site.pod(client)?, client, &cells)?;
        for (name, capture) in &captures {
            capture.catch_up(site.pod("unmeshed")?, site.pod(name)?.at(PORTS[0]), client)?;
        }
        let wrong: Vec<String> = cells.iter().filter_map(|cell| judge(cell, &outcomes, &captures).err()).collect();
        ensure!(
            wrong.is_empty(),
            "from a {client} client, {} of {} calls:\n{}",
            wrong.len(),
            cells.len(),
            wrong.join("\n")
        );
    }
    Ok(())
}

/// A call of each protocol in each family.
fn each(
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

fn from_meshed(site: &Site<'_>) -> Result<Vec<Cell>> {
    let pod = |name| move |port, is_of: IsOf| Ok(site.pod(name)?.at_in(port, is_of));
    let service = |name| move |port, is_of: IsOf| site.service_in(name, port, is_of);
    let mut cells = each("meshed-service", "strict", Fate::Hidden, service("strict"))?;
    // The name of a headless Service is the addresses of its pods.
    cells.extend(each("meshed-headless", "strict", Fate::Hidden, pod("strict"))?);
    cells.extend(each("meshed-open", "open", Fate::Hidden, pod("open"))?);
    cells.extend(each("meshed-plain-service", "plain", Fate::Open, service("plain"))?);
    cells.extend(each("meshed-plain-pod", "plain", Fate::Open, pod("plain"))?);
    cells.extend(each("meshed-outside", "outside", Fate::Open, pod("outside"))?);
    cells.push(past("meshed", site, LOOPBACK)?);
    Ok(cells)
}

fn from_unmeshed(site: &Site<'_>) -> Result<Vec<Cell>> {
    let pod = |name| move |port, is_of: IsOf| Ok(site.pod(name)?.at_in(port, is_of));
    let mut cells = each("unmeshed-strict", "strict", Fate::Denied, pod("strict"))?;
    cells.extend(each("unmeshed-open", "open", Fate::Open, pod("open"))?);
    cells.extend(each("unmeshed-plain", "plain", Fate::Open, pod("plain"))?);
    cells.extend(each("unmeshed-outside", "outside", Fate::Open, pod("outside"))?);
    for port in [LOOPBACK, ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT] {
        cells.push(past("unmeshed", site, port)?);
    }
    Ok(cells)
}

/// A way past the inbound side.
fn past(client: &str, site: &Site<'_>, port: u16) -> Result<Cell> {
    let to = site.pod("open")?.at(port);
    Ok(Cell { name: format!("{client}-past-{port}"), protocol: "http1", to, server: "open", fate: Fate::Unserved })
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

/// What no other call says.
fn marker(cell: &Cell) -> String {
    format!("cell-{}-end", cell.name)
}

/// The programs of the test, as files.
struct Peers {
    folder: PathBuf,
    authority: Authority,
}

impl Peers {
    fn write(context: &Context<'_>) -> Result<Self> {
        let folder = context.folder().join("peers");
        let authority = Authority::new(&folder, "matrix")?;
        authority.issue(&Subject {
            file: "server",
            common_name: "cell.test",
            dns: &["cell.test"],
            ..Subject::default()
        })?;
        fs::write(folder.join("call.py"), CALL)?;
        fs::write(folder.join("tls.py"), TLS)?;
        Ok(Self { folder, authority })
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(self.folder.join(script));
        command
    }

    fn serve(&self, context: &Context<'_>, pod: &Pod) -> Result<()> {
        let mut app = Command::new(context.app());
        app.args(["serve", "--port", "8080"]);
        pod.serve("app", app, 8080)?;
        let mut tls = self.python("tls.py");
        tls.args(["9443", &self.authority.path("server.pem")]);
        pod.serve("tls", tls, 9443)?;
        let mut loopback = Command::new("/usr/bin/python3");
        loopback.args(["-m", "http.server", &LOOPBACK.to_string(), "--bind", "127.0.0.1"]);
        pod.serve("loopback", loopback, LOOPBACK)
    }

    /// What became of each call, by its name.
    fn call(&self, from: &Pod, client: &str, cells: &[Cell]) -> Result<BTreeMap<String, String>> {
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

/// All TCP that crosses a pod's wire.
struct Captured {
    file: PathBuf,
    _tcpdump: Program,
}

impl Captured {
    fn start(peers: &Peers, name: &str, pod: &Pod) -> Result<Self> {
        let file = peers.folder.join(format!("{name}.pcap"));
        let mut tcpdump = Command::new("tcpdump");
        // Each packet into the file at once, and as root, whose folder it is. With the length of packets their places in the kernel's
        // buffer grow, and what finds none is lost.
        tcpdump.args(["-i", "eth0", "-n", "-U", "--immediate-mode", "-s", "2048", "-B", "16384", "-Z", "root", "-w"]);
        tcpdump.arg(&file).arg("tcp");
        let tcpdump = pod.start("capture", tcpdump)?;
        wait::until(LIMIT, "tcpdump to listen", || Ok(tcpdump.said().contains("listening on").then_some(())))?;
        Ok(Self { file, _tcpdump: tcpdump })
    }

    /// Waits until all that has crossed the wire is in the file: what is sent after it is.
    fn catch_up(&self, from: &Pod, to: SocketAddr, client: &str) -> Result<()> {
        let last = format!("last-of-{client}");
        from.run(|| Ok(TcpStream::connect_timeout(&to, LIMIT)?.write_all(format!("GET /{last}").as_bytes())?))?;
        wait::until(LIMIT, "tcpdump to catch up", || Ok(self.saw(&last).then_some(())))
    }

    /// Whether a packet has these bytes.
    fn saw(&self, text: &str) -> bool {
        let packets = fs::read(&self.file).unwrap_or_default();
        packets.windows(text.len()).any(|window| window == text.as_bytes())
    }
}
