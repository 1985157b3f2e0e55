//! A mirror that stalls: it takes connections and answers nothing. Callers lose no request and wait no longer than without a mirror, and the
//! sidecar keeps no more copies than it may.
//!
//! Fails when: copies hold callers up, pile up in memory, or are not told apart from requests.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan, Pod, Site};
use tulle_e2e::http::{self, Machine, Request};
use tulle_e2e::rooms::process;
use tulle_e2e::wait;

const PORT: u16 = 8080;
/// Nearly all that is kept of a request, and so copied.
const BODY_BYTES: usize = 60 * 1024;
/// Requests of a round, in which either a mirror is asked or none.
const REQUESTS: u32 = 400;
/// Rounds of both kinds, in turn.
const ROUNDS: usize = 3;
/// Time for edits to reach the sidecar.
const LIMIT: Duration = Duration::from_secs(20);
/// What 64 copies of each of two data threads may hold: the body, and as much again for a connection.
const GROWTH_KIB_MAX: u64 = 2 * 64 * 2 * 64;
/// How many times the wait of callers may be what it is without a mirror, at 99 of 100, and what it may be more on a busy machine.
const SLOWER_MAX: (u32, Duration) = (2, Duration::from_millis(2));

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let plan = Plan::new().meshed("client").meshed("web").unmeshed("dark");
    let plan = ["web", "dark"].iter().fold(plan, |plan, name| plan.service(name, name, &[(PORT, Some("http"))]));
    let site = context.site(&plan)?;
    let mut serve = Command::new(context.app());
    serve.args(["serve", "--name", "web", "--port", &PORT.to_string()]);
    site.pod("web")?.serve("app", serve, PORT)?;
    let dark = site.pod("dark")?;
    // Its backlog has room for all copies, and nobody ever looks into it.
    let _silent = dark.run(|| Ok(TcpListener::bind(dark.at(PORT))?))?;

    let client = site.pod("client")?;
    let sidecar = client.sidecar_pid()?;
    // Once over, so that pools and tables have their size.
    round(&site, client, false)?;
    let before = process::memory(&[sidecar]).resident;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.extend(round(&site, client, false)?);
        with.extend(round(&site, client, true)?);
    }
    let growth = process::memory(&[sidecar]).resident.saturating_sub(before);
    let [without, with] = [&mut without, &mut with].map(|waits| p99(waits));
    let metrics = Metrics::of(client)?;
    let copies = |result| metrics.sum("tulle_mirrored_requests_total", &[("backend", "dark"), ("result", result)]);
    let [sent, dropped] = ["sent", "dropped"].map(copies);
    eprintln!(
        "  p99 {without:?} without a mirror, {with:?} with one that stalls, +{growth} KiB, {dropped} copies dropped"
    );
    ensure!(growth <= GROWTH_KIB_MAX, "memory grew by {growth} KiB");
    ensure!(sent == 0.0 && dropped > 0.0, "{sent} copies were sent and {dropped} dropped");
    let (times, more) = SLOWER_MAX;
    ensure!(with <= without * times + more, "callers wait {with:?} instead of {without:?}");
    Ok(())
}

/// How long each caller waits for its answer.
fn round(site: &Site<'_>, client: &Pod, mirrored: bool) -> Result<Vec<Duration>> {
    site.apply(&rules(mirrored))?;
    let (address, body) = (site.service("web", PORT)?, "x".repeat(BODY_BYTES));
    client.run(|| {
        wait::until(LIMIT, "the edit to be in use", || {
            let answer = http::exchange(&Machine, address, &Request::new("GET", "/"))?;
            Ok((answer.header("x-mirrored") == Some(if mirrored { "yes" } else { "no" })).then_some(()))
        })?;
        let mut waits = Vec::new();
        for _ in 0..REQUESTS {
            let began = Instant::now();
            let request = Request { body: &body, ..Request::new("POST", "/") };
            let answer = http::exchange(&Machine, address, &request)?;
            waits.push(began.elapsed());
            ensure!(answer.status == 200, "{} answered", answer.status);
        }
        Ok(waits)
    })
}

fn rules(mirrored: bool) -> Value {
    let said = json!({"response": {"set": {"x-mirrored": if mirrored { "yes" } else { "no" }}}});
    let mut rule = json!({"route": [{"destination": {"host": "web"}}], "headers": said});
    if mirrored {
        rule["mirrors"] = json!([{"destination": {"host": "dark"}}]);
    }
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "web"},
        "spec": {"hosts": ["web"], "http": [rule]},
    })
}

/// The longest wait of 99 of 100.
fn p99(waits: &mut [Duration]) -> Duration {
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}
