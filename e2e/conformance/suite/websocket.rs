//! Three independent implementations of WebSocket (RFC 6455) speak to each other through two sidecars as they would without: Python's
//! `websockets`, Go's gorilla, and the JDK's client. Subprotocol and the handshake's own headers, text and binary, a message of a megabyte,
//! hundreds at once, fragments, pings, compression (RFC 7692), and a close with a code and a reason.
//!
//! Fails when: a frame or the handshake is changed, held back or reordered, or an upgraded connection does not end as its ends say.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan};
use tulle_e2e::components::WEBSOCKET;
use tulle_e2e::host;

/// Java starts slowly beside others.
const LIMIT: Duration = Duration::from_secs(60);
/// Servers, each at its port.
const SERVERS: [(&str, u16); 2] = [("Python", 8081), ("Go", 8082)];
const CLIENTS: [&str; 3] = ["Python", "Go", "Java"];

const PYTHON: &str = include_str!("websocket/peer.py");
const JAVA: &str = include_str!("websocket/Client.java");

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::STOCK)?;
    let plan = Plan::new().meshed("client").meshed("server");
    let ways = [("found", None), ("declared", Some("http"))];
    let plan = ways
        .iter()
        .fold(plan, |plan, (name, protocol)| plan.service(name, "server", &SERVERS.map(|(_, port)| (port, *protocol))));
    let site = context.site(&plan)?;
    let folder = context.folder().join("peers");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("peer.py"), PYTHON)?;
    fs::write(folder.join("Client.java"), JAVA)?;
    for (name, port) in SERVERS {
        let mut server = peer(name, &folder)?;
        server.args(["serve", &port.to_string()]);
        site.pod("server")?.serve(name, server, port)?;
    }
    let client = site.pod("client")?;
    for (way, _) in ways {
        for (server, port) in SERVERS {
            let url = format!("ws://{}/chat?room=1", site.service(way, port)?);
            for name in CLIENTS {
                let mut command = peer(name, &folder)?;
                command.args(["call", &url]);
                let ended = client.finish(command, LIMIT)?.success();
                ended.with_context(|| format!("{name}'s client and {server}'s server, {way} port"))?;
            }
        }
    }
    // Each was one request with an answer of status 101, and is over.
    let calls = (ways.len() * SERVERS.len() * CLIENTS.len()) as f64;
    for (pod, side) in [("client", "client"), ("server", "server")] {
        let metrics = Metrics::of(site.pod(pod)?)?;
        let sum = metrics.sum(&format!("tulle_http_{side}_requests_total"), &[("http_response_status_code", "101")]);
        ensure!(sum == calls, "{pod} counted {sum} upgrades of {calls}");
        let active = metrics.sum(&format!("tulle_http_{side}_active_requests"), &[]);
        ensure!(active == 0.0, "{pod} still counts {active} as active");
    }
    Ok(())
}

/// One implementation's program.
fn peer(name: &str, folder: &Path) -> Result<Command> {
    let script = |program: &str, file: &str| {
        let mut command = Command::new(program);
        command.arg(folder.join(file));
        command
    };
    Ok(match name {
        "Python" => script("/usr/bin/python3", "peer.py"),
        "Java" => script("java", "Client.java"),
        _ => Command::new(WEBSOCKET.ensure()?.join("websocket")),
    })
}
