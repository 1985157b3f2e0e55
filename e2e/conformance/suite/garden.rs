//! Fourteen back ends of different families read each request as the mesh judged it: thousands of vectors of HTTP/1 and HTTP/2, from what
//! every client sends to what smugglers try, and mutants of them. Seven are servers; seven are proxies with a strict reader of ours behind
//! them, most of which make HTTP/1 of HTTP/2.
//!
//! What the mesh judged is what a strict reader sees in place of the back end, as often as the access log tells of it; of HTTP/2 it is what
//! the vector says.
//!
//! Fails when: a back end sees a request that was not judged, or another method, target, host, field or body; an answer stands for no
//! request; what must be refused is not; or more than one of a hundred valid vectors is.

mod back_ends;
mod client;
mod judgement;
mod plot;
mod recorder;
mod seen;
mod vectors;

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tulle_conformance::{Context, Plan};
use tulle_core::sidecar::env;
use tulle_e2e::host;

use back_ends::{BACK_ENDS, BackEnd};
use judgement::Bench;
use plot::{Plot, STRICT};

/// Faults told of; all are in the file beside the logs.
const TOLD_MAX: usize = 40;

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::GARDEN)?;
    let (one, two) = (vectors::http1()?, vectors::http2()?);
    ensure!(one.len() + two.len() >= 2000, "there are only {} vectors", one.len() + two.len());
    let first = |index| BackEnd::ports(index).first;
    let ports = (0..BACK_ENDS.len()).flat_map(|index| [first(index), first(index) + 1]).chain([STRICT]);
    let ports: Vec<_> = ports.map(|port| (port, Some("http"))).collect();
    let plan = Plan::new()
        .meshed("client")
        .meshed("server")
        .unmeshed("stranger")
        .service("garden", "server", &ports)
        .variable(env::ACCESS_LOG, "json")
        .rules([json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "permissive"},
            "spec": {"mtls": {"mode": "PERMISSIVE"}},
        })]);
    let site = context.site(&plan)?;
    let start = Instant::now();
    let plot = Plot::plant(context, &site)?;
    eprintln!("  {} back ends stand after {:.1} s", BACK_ENDS.len(), start.elapsed().as_secs_f64());
    let runs = plot.runs(&one, &two)?;
    let sent: usize = runs.iter().map(|run| run.answers.len()).sum();
    eprintln!(
        "  {} vectors of HTTP/1 and {} of HTTP/2, {sent} times, after {:.1} s",
        one.len(),
        two.len(),
        start.elapsed().as_secs_f64()
    );
    let bench = Bench::new(&one, &two, &runs, plot.seen()?, &access_log(context)?);
    let mut faults = bench.nonsense(plot.nonsense());
    for run in &runs {
        let found = bench.judge(run);
        eprintln!(
            "  {}: {} requests seen, {} declined, {} passed as bytes",
            run.name(),
            found.seen,
            found.declined,
            found.bytes
        );
        faults.extend(found.faults.into_iter().map(|fault| format!("{}: {fault}", run.name())));
    }
    faults.extend(bench.strangers());
    faults.extend(bench.wrongly_refused());
    let told = faults.iter().take(TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join("\n");
    if !faults.is_empty() {
        let folder = context.folder().join("faults");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("all.log"), faults.join("\n"))?;
    }
    ensure!(faults.is_empty(), "{} disagreements or wrong verdicts:\n{told}", faults.len());
    Ok(())
}

/// What the sidecar of the server wrote of each request.
fn access_log(context: &Context<'_>) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for site in fs::read_dir(context.folder())? {
        let text = fs::read(site?.path().join("server-sidecar.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let access = text.lines().filter(|line| line.contains("\"log\":\"access\""));
        lines.extend(access.filter_map(|line| serde_json::from_str(line).ok()));
    }
    Ok(lines)
}
