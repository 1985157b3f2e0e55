//! Protocols that are not HTTP pass two sidecars at ports nobody declared, each with a server and a client as people have them, dialled by
//! Service and by pod. Where the server speaks first, its first byte comes 2 ms later than without a mesh at most.
//!
//! Fails when: a byte is changed or lost on the way, HTTP is seen where there is none, the address that a server names does not lead to it,
//! a direction is ended early, or the wait for the side that speaks first is felt.

mod programs;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use programs::{PROGRAMS, Program};
use tulle_conformance::draw::Draw;
use tulle_conformance::{Context, Plan, Pod};
use tulle_e2e::components::NATS;
use tulle_e2e::host;

const LIMIT: Duration = Duration::from_secs(60);
/// Sent to each server and back, as text: some clients print nothing else.
const PAYLOAD_BYTES: usize = 1 << 20;
/// Connections whose first bytes are timed, of each kind.
const CONNECTIONS: usize = 25;
/// Series of so many: one of them will do, because a busy machine delays whole series.
const SERIES: usize = 3;
/// What the mesh may add to the median.
const ADDED: Duration = Duration::from_millis(2);
/// What it may add, on a machine whose handshakes alone take longer than that, to the same with a declared port, where nobody is waited for.
const WAITED: Duration = Duration::from_micros(500);

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::UNDECLARED)?;
    let ports = |protocol| PROGRAMS.iter().map(|program| (program.port, protocol)).collect::<Vec<_>>();
    let plan = Plan::new().meshed("client").meshed("server").service("programs", "server", &ports(None));
    let site = context.site(&plan.service("declared", "server", &ports(Some("tcp"))))?;
    let (client, server) = (site.pod("client")?, site.pod("server")?);
    let folder = context.folder().join("programs");
    let payload = payload();
    for program in PROGRAMS {
        let own = folder.join(program.name);
        fs::create_dir_all(&own)?;
        fs::write(own.join("payload"), &payload)?;
        let place = Place { program, folder: &own, client, server };
        let addresses = [site.service("programs", program.port)?, server.at(program.port)];
        let declared = site.service("declared", program.port)?;
        place.check(addresses, declared, &payload).context(program.name)?;
    }
    Ok(())
}

/// Hexadecimal digits that do not repeat.
fn payload() -> String {
    let mut draw = Draw(1);
    std::iter::repeat_with(|| format!("{:016x}", draw.next_u64())).take(PAYLOAD_BYTES / 16).collect()
}

/// A program at its place.
struct Place<'a> {
    program: &'a Program,
    folder: &'a Path,
    client: &'a Pod,
    server: &'a Pod,
}

impl Place<'_> {
    /// The same port is declared at another address.
    fn check(&self, addresses: [SocketAddr; 2], declared: SocketAddr, payload: &str) -> Result<()> {
        self.serve()?;
        for address in addresses {
            self.echo(address, payload)?;
            self.converse(address)?;
            self.time(address, declared)?;
        }
        Ok(())
    }

    fn serve(&self) -> Result<()> {
        let Program { name, port, server, .. } = self.program;
        self.server.serve(name, self.script(server, self.server.at(*port))?, *port)
    }

    /// The program's own client gets back what it sent.
    fn echo(&self, address: SocketAddr, payload: &str) -> Result<()> {
        let said = self.client.finish(self.script(self.program.client, address)?, LIMIT)?.success()?;
        let said = said.trim_end();
        ensure!(
            said == payload,
            "{address}: its client got {} bytes back, or others, of {}",
            said.len(),
            payload.len()
        );
        Ok(())
    }

    /// A fixed conversation is the same, byte for byte, as from the server's own pod, which no proxy sees.
    fn converse(&self, address: SocketAddr) -> Result<()> {
        let words = self.program.conversation;
        if words.is_empty() {
            return Ok(());
        }
        let direct = self.server.run(|| exchange(self.server.at(self.program.port), self.program.greets, words))?;
        let meshed = self.client.run(|| exchange(address, self.program.greets, words))?;
        let [direct, meshed] = [direct, meshed].map(|bytes| bytes.escape_ascii().to_string());
        ensure!(!direct.is_empty() && direct == meshed, "{address}: answers {meshed}, and without a mesh {direct}");
        Ok(())
    }

    /// From the call to the first byte, by turns through the mesh, where the port is declared, and from the server's own pod.
    fn time(&self, address: SocketAddr, declared: SocketAddr) -> Result<()> {
        let Program { name, port, greets, .. } = *self.program;
        let mut slow = String::new();
        for _ in 0..if greets { SERIES } else { 0 } {
            let (mut meshed, mut told, mut direct) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..CONNECTIONS {
                meshed.push(self.client.run(|| first_byte(address))?);
                told.push(self.client.run(|| first_byte(declared))?);
                direct.push(self.server.run(|| first_byte(self.server.at(port)))?);
            }
            let [meshed, told, direct] = [meshed, told, direct].map(median);
            let figures = format!(
                "first byte after {meshed:.1?}, {told:.1?} where it is declared, and {direct:.1?} without a mesh"
            );
            eprintln!("  {name}, {address}: {figures}");
            if meshed <= (direct + ADDED).max(told + WAITED) {
                return Ok(());
            }
            slow = figures;
        }
        ensure!(slow.is_empty(), "{address}: {slow}");
        Ok(())
    }

    fn script(&self, script: &str, address: SocketAddr) -> Result<Command> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(self.folder);
        shell.env("PATH", format!("{}:/usr/sbin:{path}", NATS.ensure()?.display()));
        shell.env("HOST", address.ip().to_string()).env("PORT", address.port().to_string());
        Ok(shell)
    }
}

/// Sends `words`, after the greeting where there is one, and takes what comes until the end.
fn exchange(address: SocketAddr, greets: bool, words: &[u8]) -> Result<Vec<u8>> {
    let mut stream = connect(address)?;
    let mut said = vec![0; usize::from(greets)];
    stream.read_exact(&mut said).context("no greeting")?;
    stream.write_all(words)?;
    stream.read_to_end(&mut said).context("no end")?;
    let _ = stream.shutdown(Shutdown::Both);
    Ok(said)
}

fn first_byte(address: SocketAddr) -> Result<Duration> {
    let begun = Instant::now();
    connect(address)?.read_exact(&mut [0])?;
    Ok(begun.elapsed())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
