//! A hostile HTTP/1 caller is refused with a status or cut off, on both faces, and under STRICT before it has a certificate, while others
//! are served: heads, sizes and trailers without end, requests that are not read, and many connections at once that hardly move.
//!
//! Fails when: what has no end is endured, a head or a handshake may take longer than it should, what an attack costs the sidecar is more
//! than ten times what it costs the attacker, memory grows beyond what so many connections may hold, or a well-behaved caller beside it
//! loses a request.

mod attacks;
mod endless;
mod flood;
mod holds;

use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::json;
use tulle_conformance::bystander::Bystander;
use tulle_conformance::flood::AMPLIFICATION_MAX;
use tulle_conformance::{Context, Plan, Pod, Site};
use tulle_e2e::rooms::process;

use attacks::{ATTACKS, Answer, Manner};
use flood::Flood;
use holds::Held;

/// Of the application: where plaintext may call, and where it may not.
const OPEN: u16 = 8080;
const STRICT: u16 = 8081;
const ENDLESS: u16 = 8082;
/// How long each attack lasts on each face.
const DURATION: Duration = Duration::from_millis(400);
/// How much memory may grow in a flood, in KiB: as by 60 connections at once of which each holds a block of the largest size of each of both
/// sides in both directions (`proxy/src/buffer.rs`). What a flood sends on one connection would have answers of several times that.
const GROWTH_KIB_MAX: u64 = 60 * 4 * 68;
/// What a connection that is held may cost, all kinds alike, in KiB: one such block; few ever have one.
const HELD_KIB: u64 = 68;

/// Who attacks whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Plaintext where it may come.
    Permissive,
    /// Plaintext where it may not.
    Strict,
    /// The application of a pod, its own sidecar.
    Outbound,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permissive => "inbound",
            Self::Strict => "inbound under STRICT",
            Self::Outbound => "outbound",
        })
    }
}

/// A side of a sidecar, with everybody who takes part.
struct Face<'a> {
    kind: Kind,
    from: &'a Pod,
    /// The pod whose sidecar is attacked.
    target: &'a Pod,
    address: SocketAddr,
    /// Where answers do not end.
    endless: SocketAddr,
    /// A caller that may call, and where.
    bystander: (&'a Pod, SocketAddr),
}

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let http = Some("http");
    let plan = Plan::new()
        .meshed("client")
        .meshed("server")
        .unmeshed("stranger")
        .service("web", "server", &[(OPEN, http), (STRICT, http), (ENDLESS, http)])
        .rules([json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "permissive"},
            "spec": {"selector": {"matchLabels": {"app": "server"}}, "mtls": {
                "mode": "PERMISSIVE", "portLevelMtls": {STRICT.to_string(): {"mode": "STRICT"}},
            }},
        })]);
    let site = context.site(&plan)?;
    let server = site.pod("server")?;
    for port in [OPEN, STRICT] {
        let mut serve = Command::new(context.app());
        serve.arg("serve");
        for (option, port) in [("--port", port), ("--tcp-port", port + 100), ("--banner-port", port + 200)] {
            serve.args([option, &port.to_string()]);
        }
        serve.args(["--ledger-port", &(port + 300).to_string()]);
        server.serve(&format!("app-{port}"), serve, port)?;
    }
    endless::serve(server, ENDLESS)?;
    attack(&faces(&site)?)
}

fn faces<'a>(site: &'a Site<'_>) -> Result<[Face<'a>; 3]> {
    let (client, server, stranger) = (site.pod("client")?, site.pod("server")?, site.pod("stranger")?);
    let web = |port| site.service("web", port);
    let inbound = |kind, port, bystander| Face {
        kind,
        from: stranger,
        target: server,
        address: server.at(port),
        endless: server.at(ENDLESS),
        bystander,
    };
    Ok([
        inbound(Kind::Permissive, OPEN, (stranger, server.at(OPEN))),
        inbound(Kind::Strict, STRICT, (client, web(STRICT)?)),
        Face {
            kind: Kind::Outbound,
            from: client,
            target: client,
            address: web(OPEN)?,
            endless: web(ENDLESS)?,
            bystander: (client, web(OPEN)?),
        },
    ])
}

/// Floods one after the other, and then everything that is slow, all at once.
fn attack(faces: &[Face<'_>]) -> Result<()> {
    let mut broken: Vec<String> = faces.iter().flat_map(floods).collect();
    broken.extend(holds(faces)?);
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// Holds connections on all faces at once; what is not as it should be.
fn holds(faces: &[Face<'_>]) -> Result<Vec<String>> {
    let sidecars = faces.iter().map(|face| face.target.sidecar_pid()).collect::<Result<Vec<_>>>()?;
    let before: Vec<u64> = sidecars.iter().map(|pid| process::memory(&[*pid]).resident).collect();
    let mut held = faces.iter().map(Held::open).collect::<Result<Vec<_>>>()?;
    let bystanders = faces.iter().map(|face| Bystander::start(face.bystander.0, face.bystander.1));
    let bystanders = bystanders.collect::<Result<Vec<_>>>().context("beside held connections")?;
    thread::scope(|scope| {
        let holding: Vec<_> = held.iter_mut().map(|held| scope.spawn(|| held.hold())).collect();
        holding.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a holder panicked"))?)
    })?;
    let mut broken = Vec::new();
    for (face, bystander) in faces.iter().zip(bystanders) {
        let served = bystander.stop().with_context(|| format!("{}, beside held connections", face.kind))?;
        broken.extend(served.too_slow().map(|slow| format!("{}, beside held connections: {slow}", face.kind)));
    }
    for ((held, sidecar), before) in held.iter().zip(sidecars).zip(before) {
        let growth = process::memory(&[sidecar]).resident.saturating_sub(before);
        // Those of all faces, since a call from one is one to another.
        eprintln!("  {}, {} connections held: +{growth} KiB", held.kind, held.count());
        let most = HELD_KIB * (faces.len() as u64) * held.count() as u64;
        if growth > most {
            broken.push(format!("{}: memory grew by {growth} KiB", held.kind));
        }
        broken.extend(held.verdict().err().map(|error| format!("{error:#}")));
    }
    Ok(broken)
}

/// All attacks on one face; what is not as it should be.
fn floods(face: &Face<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for attack in ATTACKS {
        let name = format!("{}, {}", attack.name, face.kind);
        match flood(&Flood { face, attack, duration: DURATION }) {
            Ok(lines) => broken.extend(lines.into_iter().map(|line| format!("{name}: {line}"))),
            Err(error) => broken.push(format!("{name}: {error:#}")),
        }
    }
    broken
}

fn flood(flood: &Flood<'_>) -> Result<Vec<String>> {
    let Flood { face, attack, .. } = flood;
    let bystander = Bystander::start(face.bystander.0, face.bystander.1).context("beside it")?;
    let cost = flood.run()?;
    eprintln!("  {}, {}: {cost}", face.kind, attack.name);
    let served = bystander.stop().context("beside it")?;
    let answer = match (face.kind, attack.manner) {
        // Who never reads does not see that.
        (Kind::Strict, Manner::Deaf) => Answer::Endured,
        (Kind::Strict, _) if attack.whole_head => Answer::Refused(403),
        _ => attack.answer,
    };
    let ended = match answer {
        Answer::Refused(status) => cost.said.statuses.iter().eq([&status]) && cost.ended == cost.connections,
        Answer::End => cost.ended == cost.connections,
        Answer::Endured | Answer::Wanted => true,
    };
    let checks = [
        (
            answer == Answer::Wanted || cost.amplification() <= AMPLIFICATION_MAX,
            format!("amplified {:.1} times", cost.amplification()),
        ),
        (cost.growth_kib <= GROWTH_KIB_MAX, format!("memory grew by {} KiB", cost.growth_kib)),
        (ended, format!("{answer:?} was expected, but: {cost}")),
    ];
    let broken = checks.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what);
    Ok(broken.chain(served.too_slow()).collect())
}

/// Status of the first answer.
fn status(answer: &[u8]) -> Option<u16> {
    let word = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(word).ok()?.parse().ok()
}
