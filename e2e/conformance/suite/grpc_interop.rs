//! The official gRPC client and server pass all of their cases that need no credentials: through two sidecars, where the port declares
//! gRPC and where that is found out, over a split in halves, in both families, and from outside the mesh.
//!
//! Fails when: a stream shape, trailers, status, metadata, cancellation or deadline is changed on the way, or a split sends parts of a
//! call to different servers.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan, Pod};
use tulle_e2e::components::GRPC_INTEROP;

const PORT: u16 = 8080;
/// Cases without credentials (grpc/doc/interop-test-descriptions.md).
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];
const LIMIT: Duration = Duration::from_secs(30);
/// Calls of the soak tests, with and without `--long`.
const SOAK: [u32; 2] = [100_000, 500];
const SOAK_LIMIT: Duration = Duration::from_secs(1800);

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let programs = GRPC_INTEROP.ensure()?;
    let plan = Plan::new()
        .meshed("client")
        .meshed("v1")
        .meshed("v2")
        .unmeshed("stranger")
        .service("declared", "v1", &[(PORT, Some("grpc"))])
        .service("found", "v1", &[(PORT, None)])
        .service("second", "v2", &[(PORT, Some("grpc"))])
        .service("split", "none", &[(PORT, Some("grpc"))])
        .rules([
            json!({
                "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "permissive"},
                "spec": {"mtls": {"mode": "PERMISSIVE"}},
            }),
            json!({
                "apiVersion": "tulle.dev/v1alpha1", "kind": "TrafficSplit", "metadata": {"name": "split"},
                "spec": {"service": "split", "backends": [
                    {"service": "declared", "weight": 50}, {"service": "second", "weight": 50},
                ]},
            }),
        ]);
    let site = context.site(&plan)?;
    let (client, stranger) = (site.pod("client")?, site.pod("stranger")?);
    let servers = [site.pod("v1")?, site.pod("v2")?];
    for server in servers {
        let mut interop = Command::new(programs.join("server"));
        interop.args(["--port", &PORT.to_string()]);
        server.serve("interop", interop, PORT)?;
    }
    let ways = [
        ("a declared port", client, site.service("declared", PORT)?),
        ("a declared port over IPv6", client, site.service_in("declared", PORT, IpAddr::is_ipv6)?),
        ("an undeclared port", client, site.service("found", PORT)?),
        ("a split", client, site.service("split", PORT)?),
        ("plaintext from outside the mesh", stranger, servers[0].at(PORT)),
    ];
    for (way, from, address) in ways {
        for case in CASES {
            call(&programs, from, address, &["--test_case", case], LIMIT).with_context(|| format!("{case}, {way}"))?;
        }
    }
    let before = served(servers)?;
    let calls = SOAK[usize::from(!context.is_long())].to_string();
    for case in ["rpc_soak", "channel_soak"] {
        let seconds = SOAK_LIMIT.as_secs().to_string();
        let mut arguments = vec!["--test_case", case, "--soak_iterations", &calls, "--soak_num_threads", "4"];
        arguments.extend(["--soak_overall_timeout_seconds", &seconds]);
        arguments.extend(["--soak_request_size", "1000", "--soak_response_size", "1000"]);
        call(&programs, client, site.service("split", PORT)?, &arguments, SOAK_LIMIT).context(case)?;
    }
    let after = served(servers)?;
    let (first, second) = (after[0] - before[0], after[1] - before[1]);
    let share = first / (first + second);
    ensure!((0.4..0.6).contains(&share), "of a split in halves {first} calls went to one and {second} to the other");
    Ok(())
}

fn call(
    programs: &std::path::Path,
    from: &Pod,
    address: SocketAddr,
    arguments: &[&str],
    limit: Duration,
) -> Result<()> {
    let mut client = Command::new(programs.join("client"));
    client.args(["--server_host", &address.ip().to_string(), "--server_port", &address.port().to_string()]);
    client.args(arguments);
    from.finish(client, limit)?.success().map(drop)
}

/// Calls that the sidecars of the servers have counted.
fn served(servers: [&Pod; 2]) -> Result<[f64; 2]> {
    let count = |pod: &Pod| Ok::<_, anyhow::Error>(Metrics::of(pod)?.sum("tulle_http_server_requests_total", &[]));
    Ok([count(servers[0])?, count(servers[1])?])
}
