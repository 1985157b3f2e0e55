//! Every protocol gets through the mesh: HTTP/1.1, HTTP/2, gRPC in its shapes, WebSocket, TCP, and TCP where the server
//! speaks first, on ports that declare their protocol and on one that leaves it to be found out.
//!
//! Fails when: trailers or upgrades are lost, a stream is buffered, an answer reaches the wrong caller, detection waits
//! for bytes a client does not send, or a hop is not mutual TLS.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tulle_e2e::app::{self, App};

use crate::context::{Context, ensure};

const RPS: u32 = 100;
const REQUESTS: u64 = 500;
/// A server that speaks first is heard at once; a proxy that waits for the client first would take seconds.
const BANNER_MAX_MS: f64 = 500.0;

pub(crate) fn run(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    let cases = [
        ("http1", "http://server:80/", "http1"),
        ("h2", "http://server:81/", "h2"),
        ("grpc", "http://server:82/", "grpc"),
        ("grpc-stream", "http://server:82/", "grpc-stream"),
        ("websocket", "http://server:80/", "websocket"),
        ("tcp", "http://server:9000/", "tcp"),
        ("found-http1", "http://server:83/", "http1"),
        ("found-h2", "http://server:83/", "h2"),
    ];
    let mut apps = vec![("server", App::server("server"))];
    apps.extend(
        cases.map(|(name, target, mode)| (name, App::load(name, target, mode).arguments(&["--connections", "4"]))),
    );
    context.deploy(&apps)?;
    for (name, ..) in cases {
        let load = context.load(name)?;
        load.start(RPS, Some(REQUESTS), name)?;
        load.wait_for(REQUESTS, Duration::from_secs(30)).with_context(|| format!("mode {name}"))?;
        context.settle(&load, "app=server").with_context(|| format!("mode {name}"))?;
    }
    for port in [9000, 9001] {
        let banner = port == 9001;
        let arguments: &[&str] = if banner { &["--expect", "220"] } else { &["--send", "hello", "--expect", "hello"] };
        let first_byte = context.first_byte_ms("http1", &format!("server:{port}"), arguments)?;
        ensure(first_byte < BANNER_MAX_MS, || format!("port {port} spoke after {first_byte:.0} ms"))?;
    }
    Ok(())
}
