//! Clients as people have them each work through two sidecars, in both versions of HTTP: curl, nghttp2, Node, Java, Go, Python. The upgrade
//! to HTTP/2 that some ask for is passed over, and their request answered in HTTP/1.1 (RFC 9113 §3.1 gave it up; forwarded, it would carry
//! requests past authorization).
//!
//! Fails when: a client cannot connect, a body is changed, or an upgrade to HTTP/2 reaches the application.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tulle_conformance::{Context, Plan, Pod};
use tulle_e2e::components::GO_CLIENT;
use tulle_e2e::host;

const PORT: u16 = 8080;
/// Java starts slowly beside others.
const LIMIT: Duration = Duration::from_secs(60);
/// Requests of h2load.
const REQUESTS: u32 = 2000;

const NODE: &str = include_str!("clients/client.mjs");
const JAVA: &str = include_str!("clients/Client.java");
const PYTHON: &str = include_str!("clients/client.py");

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let ports = [("found", None), ("declared", Some("http"))];
    let plan = Plan::new().meshed("client").meshed("server");
    let plan = ports.iter().fold(plan, |plan, (name, protocol)| plan.service(name, "server", &[(PORT, *protocol)]));
    let site = context.site(&plan)?;
    let mut serve = Command::new(context.app());
    serve.args(["serve", "--port", &PORT.to_string()]);
    site.pod("server")?.serve("app", serve, PORT)?;
    let folder = context.folder().join("clients");
    fs::create_dir_all(&folder)?;
    for (name, text) in [("client.mjs", NODE), ("Client.java", JAVA), ("client.py", PYTHON)] {
        fs::write(folder.join(name), text)?;
    }
    let client = site.pod("client")?;
    for (service, _) in ports {
        let url = format!("http://{}", site.service(service, PORT)?);
        for version in ["http1", "h2"] {
            for (name, mut command) in echoing(&folder)? {
                command.args([&url, version]);
                let ended = client.finish(command, LIMIT)?.success();
                ended.with_context(|| format!("{name}, {version}, {service} port"))?;
            }
        }
        curl(client, &url).with_context(|| format!("curl, {service} port"))?;
        nghttp2(client, &url).with_context(|| format!("nghttp2, {service} port"))?;
    }
    Ok(())
}

/// Those that check the echo themselves.
fn echoing(folder: &Path) -> Result<[(&'static str, Command); 4]> {
    let script = |program: &str, file: &str| {
        let mut command = Command::new(program);
        command.arg(folder.join(file));
        command
    };
    Ok([
        ("Node", script("node", "client.mjs")),
        ("Java", script("java", "Client.java")),
        ("Python", script("/usr/bin/python3", "client.py")),
        ("Go", Command::new(GO_CLIENT.ensure()?.join("goclient"))),
    ])
}

fn curl(client: &Pod, url: &str) -> Result<()> {
    for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2"), ("--http2", "1.1")] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "20", option, "--data", "hello"]);
        curl.args(["--write-out", "\n%{http_code} %{http_version}", &format!("{url}/hello")]);
        let said = client.finish(curl, LIMIT)?.success().context(option)?;
        let (echo, result) = said.rsplit_once('\n').context("no result")?;
        ensure!(
            result == format!("200 {version}") && echo.contains("\"body\":\"hello\""),
            "{option}: {result}: {echo}"
        );
        // What the application was told of it.
        let headers = client.finish(headers(option, url), LIMIT)?.success().context(option)?.to_lowercase();
        ensure!(!headers.contains("upgrade") && !headers.contains("http2-settings"), "{option}: {headers}");
    }
    Ok(())
}

fn headers(option: &str, url: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", option, &format!("{url}/headers")]);
    curl
}

fn nghttp2(client: &Pod, url: &str) -> Result<()> {
    let mut nghttp = Command::new("nghttp");
    nghttp.args(["--no-verify-peer", &format!("{url}/hello")]);
    let said = client.finish(nghttp, LIMIT)?.success()?;
    ensure!(said.contains("\"path\":\"/hello\""), "nghttp got {said}");
    let mut h2load = Command::new("h2load");
    h2load.args(["--requests", &REQUESTS.to_string(), "--clients", "4", "--max-concurrent-streams", "16"]);
    h2load.arg(format!("{url}/hello"));
    let said = client.finish(h2load, LIMIT)?.success()?;
    ensure!(said.contains(&format!("{REQUESTS} succeeded, 0 failed, 0 errored")), "h2load got {said}");
    Ok(())
}
