//! A hostile HTTP/2 caller is told to stop and cut off, on both faces, while others are served: floods of every cheap frame, resets of both
//! kinds, header blocks without end, windows that never open.
//!
//! Fails when: a flood is endured, what it costs the sidecar is more than ten times what it costs the attacker, memory grows beyond four
//! times what a connection may hold, or a well-behaved caller beside it loses a request.

mod attacks;
mod bystander;
mod flood;

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tulle_conformance::flood::AMPLIFICATION_MAX;
use tulle_conformance::frames::ENHANCE_YOUR_CALM;
use tulle_conformance::{Context, Plan};
use tulle_e2e::host;

use attacks::{ATTACKS, Answer};
use bystander::Bystander;
use flood::Flood;

const PORT: u16 = 8080;
/// How long each attack lasts on each face.
const DURATION: Duration = Duration::from_millis(1500);
/// Longest wait of a bystander: two attackers' worth of work on two busy CPUs, and far from a time-out.
const SLOWEST: Duration = Duration::from_secs(3);
/// What a connection may hold, four times, in KiB: its window (`CONNECTION_WINDOW_BYTES` of the proxy), and of each of its streams what goes
/// ahead of the receiver's window (`AHEAD_BYTES_MAX`).
const GROWTH_KIB_MAX: u64 = 4 * (4 * 1024 + 500 * 16);

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let plan = Plan::new()
        .meshed("client")
        .meshed("server")
        .unmeshed("stranger")
        .service("web", "server", &[(PORT, Some("kubernetes.io/h2c"))])
        .rules([json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "permissive"},
            "spec": {"mtls": {"mode": "PERMISSIVE"}},
        })]);
    let site = context.site(&plan)?;
    let (client, server, stranger) = (site.pod("client")?, site.pod("server")?, site.pod("stranger")?);
    let files = context.folder().join("files");
    fs::create_dir_all(&files)?;
    fs::write(files.join("index.html"), "x".repeat(16 * 1024))?;
    fs::write(files.join("large"), "x".repeat(1 << 20))?;
    let mut nghttpd = Command::new("nghttpd");
    nghttpd.args(["--no-tls", "--htdocs"]).arg(&files).arg(PORT.to_string());
    server.serve("nghttpd", nghttpd, PORT)?;
    let faces =
        [("outbound", client, client, site.service("web", PORT)?), ("inbound", stranger, server, server.at(PORT))];
    let mut broken = Vec::new();
    for (face, from, target, address) in faces {
        for attack in ATTACKS {
            let bystander = Bystander::start(from, address)?;
            let flood = Flood { from, target, address, attack, duration: DURATION };
            let cost = flood.run().with_context(|| format!("{}, {face}", attack.name))?;
            eprintln!("  {face}, {}: {cost}", attack.name);
            let served = bystander.stop().with_context(|| format!("beside {}, {face}", attack.name));
            let checks = [
                served.and_then(|served| {
                    check(served.slowest < SLOWEST, || {
                        format!("a bystander waited {:?} of {} requests", served.slowest, served.requests)
                    })
                }),
                check(attack.answer == Answer::Endured || cost.amplification() <= AMPLIFICATION_MAX, || {
                    format!("amplified {:.1} times", cost.amplification())
                }),
                check(cost.growth_kib <= GROWTH_KIB_MAX, || format!("memory grew by {} KiB", cost.growth_kib)),
                check(attack.answer == Answer::Endured || cost.ended > 0, || "was endured".to_owned()),
                check(attack.answer != Answer::Calm || cost.said.codes.contains(&ENHANCE_YOUR_CALM), || {
                    format!("no ENHANCE_YOUR_CALM came, but {:?}", cost.said.codes)
                }),
            ];
            let failed = checks.into_iter().filter_map(Result::err);
            broken.extend(failed.map(|error| format!("{}, {face}: {error:#}", attack.name)));
        }
    }
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    ensure!(holds, "{}", what());
    Ok(())
}
