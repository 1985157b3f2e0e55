//! An edit of a weight is in use everywhere within milliseconds.
//!
//! Measured at the requests themselves: the last one *sent* that the old backend still answered, seen from every
//! client, against the moment the API server had answered the edit. Fails when an edit is debounced, polled for, or
//! has to wait for the operator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::json;
use tulle_e2e::api::Api;
use tulle_e2e::app::App;
use tulle_e2e::load::Load;
use tulle_e2e::wait;

use crate::context::{Context, ensure};

const EDITS: usize = 50;
/// Two clients at this rate: the resolution is its inverse, 4 ms, and counted against us.
const RPS: u32 = 250;
/// Requests that must all be answered by the new backend before the next edit.
const QUIET: u64 = 10;
/// Goal on two cores that run the whole cluster and the load beside it.
const P99_MAX: Duration = Duration::from_millis(100);

pub(crate) fn run(context: &Context) -> Result<()> {
    context.canary([100, 0])?;
    let client = || App::load("web", "http://checkout/", "http1");
    context.deploy(&[("web", client()), ("shop", App::load("shop", "http://checkout/", "http1"))])?;
    let loads = [context.load("web")?, context.load("shop")?];
    for load in &loads {
        load.start(RPS, None, "warm-up")?;
        load.wait_for(QUIET, Duration::from_secs(30))?;
    }
    let api = Api::start(context.kubectl())?;
    let mut times = Vec::with_capacity(EDITS);
    for edit in 0..EDITS {
        times.push(flip(context, &api, &loads, edit % 2 == 0)?);
    }
    for load in &loads {
        context.settle(load, "role=checkout")?;
    }
    times.sort_unstable();
    let quantile = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1];
    let (p50, p99) = (quantile(0.50), quantile(0.99));
    eprintln!("  {EDITS} edits in use after {:.1} ms (p50), {:.1} ms (p99), resolution {} ms", millis(p50), millis(p99), 1000 / RPS);
    ensure(p99 <= P99_MAX, || format!("p99 is {:.1} ms, more than {} ms", millis(p99), P99_MAX.as_millis()))
}

/// Turns all traffic over, and answers with the time until the slowest client had followed.
fn flip(context: &Context, api: &Api, loads: &[Load], to_new: bool) -> Result<Duration> {
    let (old, new, weights) = if to_new { ("v1", "v2", [0, 100]) } else { ("v2", "v1", [100, 0]) };
    for load in loads {
        load.phase(new)?;
    }
    let path = format!("/apis/tulle.dev/v1alpha1/namespaces/{}/trafficsplits/checkout", context.namespace());
    let backend = |name: &str, weight: i64| json!({"service": name, "weight": weight});
    let backends = [backend("checkout-v1", weights[0]), backend("checkout-v2", weights[1])];
    let answered = api.patch(&path, &json!({"spec": {"backends": backends}})).context("cannot edit the weights")?;
    let answered_us = answered.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let mut slowest = Duration::ZERO;
    for load in loads {
        let last_old_us = wait::until(Duration::from_secs(10), &format!("all traffic to be on {new}"), || {
            let phase = load.stats()?.phase;
            let old = phase.by_name.get(old).cloned().unwrap_or_default();
            let followed = phase.of(new) >= QUIET && old.last_sent_us + settled_us() < now_us();
            Ok(followed.then_some(old.last_sent_us))
        })?;
        slowest = slowest.max(Duration::from_micros(last_old_us.saturating_sub(answered_us)));
    }
    // The new weight was in use by the next request at the latest.
    Ok(slowest + Duration::from_secs(1) / RPS)
}

/// Without an answer of the old backend for this long, it is out of use: ten requests' worth.
fn settled_us() -> u64 {
    QUIET * 1_000_000 / u64::from(RPS)
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
