//! h2spec passes all of its cases against both faces of a sidecar, time and again, with answers of a whole frame behind them.
//!
//! Fails when: a rule of RFC 9113 or RFC 7541 that h2spec knows is broken toward an application or a caller outside the mesh.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::json;
use tulle_conformance::{Context, Plan, Pod};
use tulle_e2e::components::H2SPEC;
use tulle_e2e::host;

const PORT: u16 = 8080;
/// Of the answer's body: a frame of the usual largest size (RFC 9113 §4.2).
const BODY_BYTES: usize = 16 * 1024;
/// What h2spec 2.2.1 has: 145, and one that it calls strict.
const CASES: usize = 146;
/// Runs on each face, with and without `--long`.
const RUNS: [usize; 2] = [20, 2];
/// A case that fails waits for two seconds.
const LIMIT: Duration = Duration::from_secs(400);

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
    let server = site.pod("server")?;
    let files = context.folder().join("files");
    fs::create_dir_all(&files)?;
    fs::write(files.join("index.html"), "x".repeat(BODY_BYTES))?;
    let mut nghttpd = Command::new("nghttpd");
    nghttpd.args(["--no-tls", "--htdocs"]).arg(&files).arg(PORT.to_string());
    server.serve("nghttpd", nghttpd, PORT)?;
    let [long, short] = RUNS;
    for _ in 0..if context.is_long() { long } else { short } {
        check(site.pod("client")?, site.service("web", PORT)?)?;
        check(site.pod("stranger")?, server.at(PORT))?;
    }
    Ok(())
}

fn check(from: &Pod, address: SocketAddr) -> Result<()> {
    let mut h2spec = Command::new(H2SPEC.ensure()?.join("h2spec"));
    h2spec.args(["--strict", "--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
    let ended = from.finish(h2spec, LIMIT)?;
    let said = ended.stdout;
    let Some(result) = said.lines().find(|line| line.contains(" tests, ")) else {
        bail!("h2spec gave no result: {said}")
    };
    let wanted = format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed");
    let failures = said.split_once("Failures:").map_or("", |(_, failures)| failures);
    ensure!(result.trim() == wanted, "at {address}: {result}: {failures}");
    Ok(())
}
