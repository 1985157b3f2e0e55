//! Copies of requests go to the mirrors a rule names, and nobody waits for them.
//!
//! Fails when: a copy is missing or sent twice, a share is another than the one asked for, or an answer comes from a mirror or waits for
//! one that is not there.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::{self, App};
use tulle_e2e::{ledger, shares, wait};

use crate::context::{Context, ensure};

const RPS: u32 = 200;
const REQUESTS: u64 = 1_000;
const SOON: Duration = Duration::from_secs(20);

pub(crate) fn run(context: &Context) -> Result<()> {
    for service in ["checkout", "shadow", "half", "nobody"] {
        context.apply(&app::service(service, &[("app", service)]))?;
    }
    context.apply(&virtual_service())?;
    context.deploy(&[
        ("checkout", App::server("checkout").service_account("checkout")),
        ("shadow", App::server("shadow").service_account("shadow")),
        ("half", App::server("half").service_account("half")),
        ("web", App::load("web", "http://checkout/", "http1")),
    ])?;
    let load = context.load("web")?;
    load.start(RPS, Some(REQUESTS), "mirrored")?;
    load.wait_for(REQUESTS, Duration::from_secs(30))?;
    let verdict = context.settle(&load, "app=checkout")?;
    ensure(verdict.ok == REQUESTS, || format!("{} of {REQUESTS} requests were answered", verdict.ok))?;
    let ids = load.ids()?;
    wait::until(SOON, "a copy of every request", || {
        let copied = copies(context, "shadow", &ids.run)?;
        Ok((copied.ranges == ids.ok).then_some(()))
    })?;
    let count = |mirror: &str, result: &str| {
        let (mirror, result) = (format!("backend=\"{mirror}\""), format!("result=\"{result}\""));
        context.metric("web", "tulle_mirrored_requests_total", &[&mirror, &result])
    };
    wait::until(SOON, "each copy to be counted", || {
        let (whole, half) = (count("shadow", "sent")?, copies(context, "half", &ids.run)?.size());
        let counted = [whole, count("half", "sent")?, count("nobody", "failed")?];
        Ok((counted == [REQUESTS as f64, half as f64, REQUESTS as f64]).then_some(()))
    })?;
    let (shadow, half) = (copies(context, "shadow", &ids.run)?, copies(context, "half", &ids.run)?);
    ensure(shadow.doubled + half.doubled == 0, || "a copy was sent twice".to_owned())?;
    let share = half.size() as f64 / REQUESTS as f64;
    ensure(shares::is_plausible(0.5, share, REQUESTS), || format!("{:.1} % instead of half were copied", share * 100.0))
}

fn virtual_service() -> Value {
    let mirror = |host: &str, percent: u32| json!({"destination": {"host": host}, "percentage": {"value": percent}});
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "checkout"},
        "spec": {"hosts": ["checkout"], "http": [{
            "route": [{"destination": {"host": "checkout"}}],
            "mirrors": [{"destination": {"host": "shadow"}}, mirror("half", 50), mirror("nobody", 100)],
        }]},
    })
}

/// What a mirror saw of a run.
fn copies(context: &Context, mirror: &str, run: &str) -> Result<ledger::Run> {
    let ledgers = ledger::of_pods(context.reach(), context.kubectl(), &format!("app={mirror}"))?;
    let mut ledger = ledgers.into_iter().next().with_context(|| format!("{mirror} has no ledger"))?;
    Ok(ledger.runs.remove(run).unwrap_or_default())
}
