//! Weights move traffic, and nothing is lost on the way: those of a TrafficSplit between Services, and those of a VirtualService between
//! subsets of one, which needs no Service for each version.
//!
//! Fails when: a weight is ignored or rounded away, weight 0 still receives requests, an edit drops a connection, or a
//! request is repeated behind the caller's back.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tulle_e2e::app::App;
use tulle_e2e::load::{Counters, Load};
use tulle_e2e::{shares, wait};

use crate::context::{Context, ensure};

const RPS: u32 = 500;
/// Requests a step: at 10 % the standard deviation is 0.54 points.
const REQUESTS: u64 = 3_000;
/// Requests in a look at whether an edit has arrived.
const WINDOW: u64 = 60;

pub(crate) fn run(context: &Context) -> Result<()> {
    context.canary([100, 0])?;
    context.deploy(&[("web", App::load("web", "http://checkout/", "http1"))])?;
    let load = context.load("web")?;
    load.start(RPS, None, "warm-up")?;
    load.wait_for(WINDOW, Duration::from_secs(30))?;
    for weights in [[100, 0], [90, 10], [50, 50], [0, 100]] {
        context.split(weights)?;
        step(&load, weights).with_context(|| format!("at weights {weights:?}"))?;
    }
    // The split stays at 100 % of v2: rules that name subsets are not subject to it.
    for weights in [[100, 0], [90, 10], [0, 100]] {
        subsets(context, weights)?;
        step(&load, weights).with_context(|| format!("at weights {weights:?} of subsets"))?;
    }
    let verdict = context.settle(&load, "role=checkout")?;
    ensure(verdict.ok > 7 * REQUESTS, || format!("only {} requests were answered", verdict.ok))
}

/// Sends to the versions of `checkout` by a label of their pods.
fn subsets(context: &Context, [v1, v2]: [i64; 2]) -> Result<()> {
    let to =
        |subset: &str, weight: i64| json!({"destination": {"host": "checkout", "subset": subset}, "weight": weight});
    context.apply(&json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "checkout"},
        "spec": {
            "hosts": ["checkout"],
            "subsets": [{"name": "stable", "labels": {"app": "v1"}}, {"name": "canary", "labels": {"app": "v2"}}],
            "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "2s"}}},
            "http": [{"route": [to("stable", v1), to("canary", v2)]}],
        },
    }))
}

fn step(load: &Load, weights: [i64; 2]) -> Result<()> {
    let expected = weights[1] as f64 / (weights[0] + weights[1]) as f64;
    wait::until(Duration::from_secs(10), "the new weights to be in use", || {
        load.phase("settling")?;
        let phase = load.wait_for(WINDOW, Duration::from_secs(10))?.phase;
        Ok(shares::is_plausible(expected, phase.share("v2"), phase.ok).then_some(()))
    })?;
    load.phase(&format!("{}-{}", weights[0], weights[1]))?;
    let phase: Counters = load.wait_for(REQUESTS, Duration::from_secs(60))?.phase;
    phase.expect_clean()?;
    let measured = phase.share("v2");
    ensure(shares::is_plausible(expected, measured, phase.ok), || {
        format!("v2 received {:.2} % of {} requests instead of {:.0} %", measured * 100.0, phase.ok, expected * 100.0)
    })
}
