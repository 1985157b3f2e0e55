//! The ground the other tests stand on: calls cross both sidecars with mTLS, in both families and both versions of HTTP, and plaintext
//! from outside the mesh is served or refused as the policy says.
//!
//! Fails when: capture, discovery, identities or forwarding do not work in namespaces, or STRICT lets plaintext in.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tulle_conformance::{Context, Plan, Pod};

const PORT: u16 = 8080;
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    let plan = Plan::new().meshed("client").meshed("server").unmeshed("stranger").service(
        "web",
        "server",
        &[(PORT, Some("http"))],
    );
    let site = context.site(&plan)?;
    let (client, server, stranger) = (site.pod("client")?, site.pod("server")?, site.pod("stranger")?);
    let mut serve = Command::new(context.app());
    serve.args(["serve", "--port", &PORT.to_string()]);
    server.serve("app", serve, PORT)?;
    for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        for version in ["HTTP/1.1", "HTTP/2"] {
            for (way, address) in
                [("Service", site.service_in("web", PORT, family)?), ("pod", server.at_in(PORT, family))]
            {
                let status = call(context, client, address, version)?;
                ensure!(status == 200, "{version} from a meshed pod to the {way} at {address}: status {status}");
            }
            let status = call(context, stranger, server.at_in(PORT, family), version)?;
            ensure!(status == 403, "{version} in plaintext under STRICT: status {status}");
        }
    }
    site.apply(&json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": "permissive"},
        "spec": {"mtls": {"mode": "PERMISSIVE"}},
    }))?;
    tulle_e2e::wait::until(LIMIT, "plaintext to be let in", || {
        Ok((call(context, stranger, server.at(PORT), "HTTP/2")? == 200).then_some(()))
    })
}

/// Status of one request.
fn call(context: &Context<'_>, from: &Pod, address: SocketAddr, version: &str) -> Result<u16> {
    let mut fetch = Command::new(context.app());
    fetch.args(["fetch", &format!("http://{address}/")]);
    if version == "HTTP/2" {
        fetch.arg("--h2");
    }
    let printed = from.finish(fetch, LIMIT)?.success()?;
    let answer: serde_json::Value = serde_json::from_str(printed.lines().next().unwrap_or_default())?;
    Ok(answer["status"].as_u64().unwrap_or_default().try_into()?)
}
