//! A VirtualService chooses where a request goes: by header, by path, in order; a split on the chosen host applies after it. A Service
//! that is an alias (ExternalName) leads to the Service that it stands for, by its rules and over mutual TLS. Rules for all Services of a
//! namespace hold where none names one.
//!
//! Fails when a match is ignored, rules are taken out of order, a path is judged in another form than it is forwarded in,
//! a request that no rule names is served, a rule's timeout does not end the wait, a call by an alias goes past the mesh, or a
//! wildcard comes before a name.

pub(crate) mod bytes;
pub(crate) mod delegates;
pub(crate) mod mirrors;

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::wait;

use crate::context::{Context, Fetched, ensure};

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn run(context: &Context) -> Result<()> {
    context.canary([100, 0])?;
    context.apply(&app::service("slow", &[("app", "slow")]))?;
    let slow = App::server("slow").arguments(&["--delay-ms", "2000"]).service_account("slow");
    context.deploy(&[("slow", slow), ("web", App::idle("web"))])?;
    context.apply(&virtual_service())?;
    wait::until(SOON, "the routes to be in force", || {
        Ok((ask(context, &["http://checkout/elsewhere"])?.status == 404).then_some(()))
    })?;
    let to_v2 = ask(context, &["http://checkout/anything", "-H", "x-canary: yes"])?;
    ensure(to_v2.status == 200 && to_v2.body.contains("\"v2\""), || {
        format!("the header did not choose v2: {to_v2:?}")
    })?;
    for path in ["/api/orders", "/api//./orders", "/api/%6frders"] {
        let to_v1 = ask(context, &[&format!("http://checkout{path}")])?;
        ensure(to_v1.status == 200 && to_v1.body.contains("\"v1\""), || format!("{path} did not reach v1: {to_v1:?}"))?;
        ensure(to_v1.body.contains("/api/orders"), || format!("{path} was not forwarded in normal form: {to_v1:?}"))?;
    }
    let unrouted = ask(context, &["http://checkout/other"])?;
    let told = unrouted.header("tulle-error").unwrap_or_default();
    ensure(told.starts_with("no-route; code=TUL2001"), || format!("no rule matched, but: {unrouted:?}"))?;
    let late = ask(context, &["http://checkout/slow"])?;
    let told = late.header("tulle-error").unwrap_or_default();
    ensure(late.status == 504 && told.starts_with("timeout; code=TUL2004"), || format!("not timed out: {late:?}"))?;
    by_alias(context)?;
    for_all(context)
}

/// One object for all Services of the namespace answers for `slow`, which no object names, and not for `checkout`.
fn for_all(context: &Context) -> Result<()> {
    context.apply(&json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "all"},
        "spec": {"hosts": ["*"], "http": [
            {"match": [{"uri": {"exact": "/all"}}], "directResponse": {"status": 418, "body": {"string": "all"}}},
        ]},
    }))?;
    wait::until(SOON, "the rule for all to answer", || {
        let seen = ask(context, &["http://slow/all"])?;
        Ok((seen.status == 418 && seen.body.contains("all")).then_some(()))
    })?;
    let named = ask(context, &["http://checkout/all"])?;
    let told = named.header("tulle-error").unwrap_or_default();
    ensure(told.starts_with("no-route; code=TUL2001"), || format!("a rule for all answers for a named one: {named:?}"))
}

/// The name in the request is the alias; what is dialled is the Service, and so are rules and identity.
fn by_alias(context: &Context) -> Result<()> {
    let target = format!("checkout.{}.svc.cluster.local", context.namespace());
    context.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "till"},
        "spec": {"type": "ExternalName", "externalName": target},
    }))?;
    // Until DNS knows the name there is no answer at all.
    let seen = wait::until(SOON, "the alias to be resolved", || {
        Ok(ask(context, &["http://till/api/orders"]).ok().filter(|seen| seen.status == 200))
    })?;
    ensure(seen.body.contains("\"v1\""), || format!("the alias did not lead to v1: {seen:?}"))?;
    let unrouted = ask(context, &["http://till/other"])?;
    let told = unrouted.header("tulle-error").unwrap_or_default();
    ensure(told.starts_with("no-route; code=TUL2001"), || format!("the rules of the Service do not hold: {unrouted:?}"))
}

fn ask(context: &Context, arguments: &[&str]) -> Result<Fetched> {
    context.fetch_one("web", arguments)
}

fn virtual_service() -> Value {
    let to = |host: &str| json!([{"destination": {"host": host}}]);
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "checkout"},
        "spec": {"hosts": ["checkout"], "http": [
            {"match": [{"headers": {"x-canary": {"exact": "yes"}}}], "route": to("checkout-v2")},
            {"match": [{"uri": {"prefix": "/api/"}, "method": {"exact": "GET"}}], "route": to("checkout")},
            {"match": [{"uri": {"exact": "/slow"}}], "route": to("slow"), "timeout": "300ms"},
        ]},
    })
}
