//! A hostile server does harm to nobody but its own callers: heads, trailers, chunks and interim answers without end, floods of frames, and
//! answers that nobody asked for.
//!
//! Fails when: what has no end is endured, what it costs the caller's sidecar is more than ten times what it costs the server, memory grows
//! beyond what so many connections may hold, a caller gets another's answer or waits without end, or a caller of another server
//! loses a request.

mod answers;
mod server;

use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tulle_conformance::bystander::Bystander;
use tulle_conformance::flood::{AMPLIFICATION_MAX, measured};
use tulle_conformance::frames::{END_STREAM, Frame, Frames, GOAWAY, PREFACE, RST_STREAM, headers, request, settings};
use tulle_conformance::{Context, Plan, Pod};
use tulle_e2e::http;

use answers::{ATTACKS, Attack, Version};
use server::{Says, Server};

const GOOD: u16 = 8080;
const H1: u16 = 8081;
const H2: u16 = 8082;
/// How long each attack lasts.
const DURATION: Duration = Duration::from_millis(500);
/// Longest wait of a caller for the end of its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Four times what one connection may hold, in KiB: a window of HTTP/2 (`CONNECTION_WINDOW_BYTES` of the proxy).
const GROWTH_KIB_MAX: u64 = 4 * 4 * 1024;
/// Requests whose answers must be their own; in the long form 100,000.
const TAGGED: u32 = 2_000;

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let plan =
        Plan::new().meshed("client").meshed("good").unmeshed("evil").service("good", "good", &[(GOOD, Some("http"))]);
    let site = context.site(&plan.service("evil", "evil", &[(H1, Some("http")), (H2, Some("kubernetes.io/h2c"))]))?;
    let (client, evil) = (site.pod("client")?, site.pod("evil")?);
    let mut serve = Command::new(context.app());
    serve.args(["serve", "--port", &GOOD.to_string()]);
    site.pod("good")?.serve("app", serve, GOOD)?;
    let good = site.service("good", GOOD)?;
    let mut broken = Vec::new();
    for (version, port) in [(Version::H1, H1), (Version::H2, H2)] {
        let (server, address) = (Server::start(evil, port)?, site.service("evil", port)?);
        for attack in ATTACKS.iter().filter(|attack| attack.version == version) {
            let found = attacked(client, (&server, address), attack, good);
            broken.extend(found.with_context(|| format!("{version:?}, {}", attack.name))?);
        }
        if version == Version::H1 {
            server.say(Says::Tags);
            let requests = if context.is_long() { 100_000 } else { TAGGED };
            tagged(client, address, requests)?;
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// Requests that were sent to the server.
#[derive(Debug, Default)]
struct Calls(u32);

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.0)
    }
}

/// Calls the server for a while; what is not as it should be.
fn attacked(
    client: &Pod,
    (server, address): (&Server, SocketAddr),
    attack: &'static Attack,
    good: SocketAddr,
) -> Result<Vec<String>> {
    server.say(Says::Attack(attack));
    let bystander = Bystander::start(client, good)?;
    let cost = measured(client, || {
        let calls = client.run(|| {
            let (start, mut calls) = (Instant::now(), 0);
            while start.elapsed() < DURATION {
                match attack.version {
                    Version::H1 => one_h1(address)?,
                    Version::H2 => one_h2(address)?,
                }
                calls += 1;
            }
            Ok(calls)
        })?;
        let mut cost = server.spent();
        cost.said = Calls(calls);
        Ok(cost)
    })?;
    let served = bystander.stop()?;
    eprintln!("  {:?}, {}: {cost}", attack.version, attack.name);
    let (growth, times) = (cost.growth_kib, cost.amplification());
    let checks = [
        served.too_slow(),
        (times > AMPLIFICATION_MAX).then(|| format!("amplified {times:.1} times")),
        (growth > GROWTH_KIB_MAX).then(|| format!("memory grew by {growth} KiB")),
        (cost.ended == 0).then(|| "was endured".to_owned()),
    ];
    Ok(checks.into_iter().flatten().map(|what| format!("{:?}, {}: {what}", attack.version, attack.name)).collect())
}

/// A request that ends somehow: with an answer, or with its connection.
fn one_h1(address: SocketAddr) -> Result<()> {
    let mut stream = open(address)?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: evil\r\nconnection: close\r\n\r\n")?;
    if let Err(error) = http::read(&mut stream) {
        ensure!(!timed_out(&error), "a caller waits without end");
    }
    Ok(())
}

/// The same of HTTP/2.
fn one_h2(address: SocketAddr) -> Result<()> {
    let mut stream = open(address)?;
    stream.write_all(&[PREFACE, &settings(&[]), &headers(1, END_STREAM, &request("GET", "/"))].concat())?;
    let over = |frame: &Frame| {
        frame.kind == GOAWAY || frame.stream == 1 && (frame.kind == RST_STREAM || frame.flags & END_STREAM != 0)
    };
    if let Err(error) = Frames::default().until(&mut stream, over) {
        ensure!(!timed_out(&error.into()), "a caller waits without end");
    }
    Ok(())
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn timed_out(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds.map(std::io::Error::kind).any(|kind| kind == std::io::ErrorKind::WouldBlock)
}

/// Requests on one connection each get their own answer, though the server says more than it is asked.
fn tagged(client: &Pod, address: SocketAddr, requests: u32) -> Result<()> {
    client.run(|| {
        let mut stream = open(address)?;
        for number in 0..requests {
            let path = format!("/{number}");
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: evil\r\n\r\n").as_bytes())?;
            let answer = http::read(&mut stream).with_context(|| format!("request {number}"))?;
            let said = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 200 && said == path, "request {number} got {}, {said}", answer.status);
        }
        eprintln!("  {requests} requests got their own answers");
        Ok(())
    })
}
