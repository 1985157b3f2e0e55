//! Who may call is decided by policy, and a refusal explains itself: to the caller by code and id, to the operator of
//! the server by policy, rule and peer.
//!
//! Fails when a policy is ignored, refuses too much, names the policy to the caller, or leaves no trace under the id.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::{mesh, pods, wait};

use crate::context::{Context, Fetched, ensure};

const SOON: Duration = Duration::from_secs(20);
/// PERMISSION_DENIED (gRPC, "Status codes").
const GRPC_PERMISSION_DENIED: &str = "7";

pub(crate) fn run(context: &Context) -> Result<()> {
    context.apply(&app::service("server", &[("app", "server")]))?;
    context.deploy(&[
        ("server", App::server("server").service_account("server")),
        ("web", App::idle("web").service_account("web")),
        ("friend", App::idle("friend").service_account("friend")),
    ])?;
    ensure(context.fetch_one("web", &["http://server/admin"])?.status == 200, || {
        "refused without any policy".to_owned()
    })?;
    deny(context)?;
    allow(context)
}

/// A DENY refuses what it names, nothing else, and explains itself.
fn deny(context: &Context) -> Result<()> {
    let service_account = format!("{}/web", context.namespace());
    context.apply(&policy(
        "no-admin",
        "DENY",
        json!([{
            "from": [{"source": {"serviceAccounts": [service_account]}}],
            "to": [{"operation": {"paths": ["/admin*", "/echo.Echo/*"]}}],
        }]),
    ))?;
    let refused = until_status(context, "web", &["http://server/admin/users"], 403)?;
    let explanation = refused.header("tulle-error").context("the refusal does not explain itself")?.to_owned();
    let id = explanation
        .strip_prefix("denied; code=TUL4001; id=")
        .with_context(|| format!("unexpected explanation: {explanation}"))?;
    ensure(!explanation.contains("no-admin"), || format!("the policy is named to the caller: {explanation}"))?;
    ensure(context.fetch_one("web", &["http://server/"])?.status == 200, || {
        "DENY refuses more than it names".to_owned()
    })?;
    ensure(context.fetch_one("friend", &["http://server/admin"])?.status == 200, || {
        "DENY refuses another caller".to_owned()
    })?;

    let line = wait::until(SOON, "the refusal in the server's log", || {
        let log = context.kubectl().logs("deployment/server", mesh::PROXY)?;
        Ok(log.lines().find(|line| line.contains(id)).map(str::to_owned))
    })?;
    let peer = format!("spiffe://cluster.local/ns/{}/sa/web", context.namespace());
    let policy = format!("{}/no-admin", context.namespace());
    for part in [policy.as_str(), peer.as_str(), "rule"] {
        ensure(line.contains(part), || format!("the log does not name {part}: {line}"))?;
    }
    let counted = context.metric("server", "tulle_refusals_total", &["TUL4001", &policy])?;
    ensure(counted >= 1.0, || "no metric counts the refusal".to_owned())?;

    let grpc = context.fetch_one("web", &["http://server:82/echo.Echo/Unary", "--grpc", "--body", "x"])?;
    ensure(grpc.status == 200 && grpc.header("grpc-status") == Some(GRPC_PERMISSION_DENIED), || {
        format!("gRPC was refused as {grpc:?}")
    })?;
    let grpc = context.fetch_one("friend", &["http://server:82/echo.Echo/Unary", "--grpc", "--body", "x"])?;
    ensure(grpc.header("grpc-status") == Some("0"), || format!("gRPC of another caller: {grpc:?}"))?;
    context.kubectl().delete("meshpolicies.tulle.dev/no-admin")
}

/// With an ALLOW, what no rule names is refused, on HTTP and on TCP.
fn allow(context: &Context) -> Result<()> {
    context.apply(&policy("friends", "ALLOW", json!([{"from": [{"source": {"serviceAccounts": ["friend"]}}]}])))?;
    let refused = until_status(context, "web", &["http://server/"], 403)?;
    let explanation = refused.header("tulle-error").unwrap_or_default();
    ensure(explanation.contains("code=TUL4003"), || format!("refused for another reason: {explanation}"))?;
    ensure(context.fetch_one("friend", &["http://server/"])?.status == 200, || {
        "ALLOW refuses whom it names".to_owned()
    })?;
    let echo = ["--send", "x", "--expect", "x"];
    context.first_byte_ms("friend", "server:9000", &echo).context("TCP of a caller that is allowed")?;
    ensure(context.first_byte_ms("web", "server:9000", &echo).is_err(), || {
        "TCP of a caller that is not allowed".to_owned()
    })?;
    let pod = pods::one(context.kubectl(), "app=server")?;
    ensure(pods::is_ready(&pod), || "the policy refuses the kubelet's probes".to_owned())
}

fn policy(name: &str, action: &str, rules: Value) -> Value {
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "MeshPolicy", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "server"}}, "authorization": {"action": action, "rules": rules}},
    })
}

fn until_status(context: &Context, client: &str, arguments: &[&str], status: u16) -> Result<Fetched> {
    wait::until(SOON, &format!("status {status} from {}", arguments[0]), || {
        let answer = context.fetch_one(client, arguments)?;
        Ok((answer.status == status).then_some(answer))
    })
}
