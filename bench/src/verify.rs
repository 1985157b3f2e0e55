//! (shell) Proof that a target does what it is measured for: right answers, mTLS of the kind that all use, nothing readable between
//! the nodes, a handshake for each request where that is measured and one for many where it is not, and no answer for strangers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tulle_core::sidecar::PROXY_UID;
use tulle_e2e::capture::{Hello, Streams, X25519_MLKEM768, server_hello, streams_in};
use tulle_e2e::http::{self, Machine, Request};
use tulle_e2e::rooms::{Program, process};
use tulle_e2e::{command, wait};

use crate::server::BODY_BYTES;
use crate::targets::{Class, Entry, Target};

const TLS13: u16 = 0x0304;
/// TLS_AES_128_GCM_SHA256 (RFC 8446 §B.4).
const AES_128_GCM: u16 = 0x1301;
/// x25519 (RFC 8446 §4.2.7).
const X25519: u16 = 0x001d;
/// tcpdump starts and ends within milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Nothing is served there: "discard" (RFC 863).
const LAST_PORT: u16 = 9;
/// Requests of each proof.
const REQUESTS: usize = 5;

/// Proves it, or says what is wrong.
pub(crate) fn verify(target: &Target, folder: &Path, hybrid: bool) -> Result<()> {
    let entry = target.entries.get(Entry::Http).context("a target without HTTP")?;
    if target.class == Class::Direct {
        return ask(target, entry, REQUESTS);
    }
    let pooled = captured(target, folder, || ask(target, entry, REQUESTS))?;
    let group = if hybrid { X25519_MLKEM768 } else { X25519 };
    let wanted = Hello { version: TLS13, cipher: AES_128_GCM, group: Some(group) };
    let server = IpAddr::from(target.site.pod_b());
    check_hellos(&pooled, server, wanted)?;
    ensure!(!pooled.contain(&[b'x'; 64]), "a body was readable between the nodes");
    if target.class == Class::Http {
        // The first proof has opened the connection.
        let again = captured(target, folder, || ask(target, entry, REQUESTS))?;
        ensure!(hellos(&again, server).count() == 0, "requests to the same server made new mTLS connections");
    }
    let fresh = target.entries.get(Entry::Fresh).context("a target without handshakes")?;
    let streams = captured(target, folder, || ask(target, fresh, REQUESTS))?;
    check_hellos(&streams, server, wanted)?;
    let count = hellos(&streams, server).count();
    ensure!(count == REQUESTS, "{REQUESTS} requests made {count} handshakes where each should make one");
    strangers(target)
}

/// Sends requests, each on a connection of its own, and looks at the answers.
fn ask(target: &Target, address: SocketAddr, count: usize) -> Result<()> {
    target.site.a.run(|| {
        for _ in 0..count {
            let answer = http::exchange(&Machine, address, &Request::new("GET", "/"))?;
            let right =
                answer.status == 200 && answer.body.len() == BODY_BYTES && answer.body.iter().all(|byte| *byte == b'x');
            ensure!(right, "answered {} with {} bytes: {}", answer.status, answer.body.len(), answer.head);
        }
        Ok(())
    })
}

/// What crossed the wire between the nodes during `work`: seen in A, where the server's address is beyond that wire only.
fn captured(target: &Target, folder: &Path, work: impl FnOnce() -> Result<()>) -> Result<Streams> {
    let file = folder.join("wire.pcap");
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-i", "any", "-n", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w"]).arg(&file);
    tcpdump.arg(format!("tcp and host {}", target.site.pod_b()));
    let mut capture = Program::start(&target.site.a, folder, "tcpdump", tcpdump, None)?;
    wait::until(DEADLINE, "tcpdump to listen", || {
        capture.check()?;
        Ok(capture.said().contains("listening on").then_some(()))
    })?;
    work()?;
    // tcpdump ends without what it has not read yet: the last packet it is waited for is one that can be told from all others.
    target.site.a.run(|| {
        let mut curl = as_proxy("curl");
        curl.args(["--silent", "--max-time", "1", &format!("http://{}:{LAST_PORT}/", target.site.pod_b())]);
        Ok(command::run(&mut curl).is_ok())
    })?;
    let last = [target.site.pod_b().octets().as_slice(), &LAST_PORT.to_be_bytes()].concat();
    wait::until(DEADLINE, "tcpdump to write what it saw", || {
        capture.check()?;
        let packets = std::fs::read(&file)?;
        // The address it goes to, the port it comes from, the port it goes to (RFC 791, RFC 9293).
        let is_last = |bytes: &[u8]| bytes[..4] == last[..4] && bytes[6..] == last[4..];
        Ok(packets.windows(8).any(is_last).then_some(()))
    })?;
    process::signal(capture.pid(), Signal::INT);
    wait::until(DEADLINE, "tcpdump to end", || Ok(capture.check().is_err().then_some(())))?;
    streams_in(&file)
}

/// What the server of each connection that began during a capture agreed to.
fn hellos(streams: &Streams, server: IpAddr) -> impl Iterator<Item = Hello> {
    streams.0.iter().filter(move |((from, _), _)| from.ip() == server).filter_map(|(_, bytes)| server_hello(bytes))
}

fn check_hellos(streams: &Streams, server: IpAddr, wanted: Hello) -> Result<()> {
    ensure!(hellos(streams, server).next().is_some(), "no TLS handshake was seen between the nodes");
    for hello in hellos(streams, server) {
        ensure!(hello == wanted, "the sidecars agreed on {hello:x?} instead of {wanted:x?}");
    }
    Ok(())
}

/// Without a certificate of the mesh nobody gets an answer, neither in TLS nor in plaintext.
fn strangers(target: &Target) -> Result<()> {
    let address = target.mtls.context("a target without mTLS")?;
    let mut openssl = as_proxy("timeout");
    openssl.args(["5", "openssl", "s_client", "-ign_eof", "-tls1_3", "-connect", &address.to_string()]);
    if let Some(alpn) = target.alpn {
        openssl.args(["-alpn", alpn]);
    }
    let ask = "GET / HTTP/1.1\r\nhost: stranger\r\nconnection: close\r\n\r\n";
    let said = target.site.a.run(|| match command::run_with_input(&mut openssl, ask) {
        Ok(output) => Ok(output),
        Err(error) => Ok(format!("{error:#}")),
    })?;
    if said.contains("200 OK") {
        bail!("a client without certificate was answered");
    }
    ensure!(said.contains("alert") || said.contains("BEGIN CERTIFICATE"), "no TLS at {address}: {said}");
    let mut curl = as_proxy("curl");
    curl.args(["--silent", "--max-time", "3", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    curl.arg(format!("http://{address}/"));
    let status = target.site.a.run(|| Ok(command::run(&mut curl).unwrap_or_default()))?;
    ensure!(status.trim() != "200", "plaintext was answered");
    Ok(())
}

/// A redirect lets only its proxy's user dial the other node.
fn as_proxy(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let user = PROXY_UID.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", program]);
    command
}
