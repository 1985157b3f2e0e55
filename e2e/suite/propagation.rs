//! An edit of a weight is in use everywhere within milliseconds.
//!
//! Fails when an edit is debounced, polled for, has to wait for the operator, or is lost on one of the clients.

use std::time::Duration;

use anyhow::Result;
use tulle_e2e::api::Api;
use tulle_e2e::app::App;
use tulle_e2e::edits::{Edits, quantile};

use crate::context::{Context, ensure};

const EDITS: usize = 50;
/// Of each of two clients: a resolution of 4 ms.
const RPS: u32 = 250;
/// Goal on two cores that run the whole cluster and the load beside it.
const P99_MAX: Duration = Duration::from_millis(100);

pub(crate) fn run(context: &Context) -> Result<()> {
    context.canary([100, 0])?;
    let client = |name| App::load(name, "http://checkout/", "http1");
    context.deploy(&[("web", client("web")), ("shop", client("shop"))])?;
    let loads = [context.load("web")?, context.load("shop")?];
    for load in &loads {
        load.start(RPS, None, "warm-up")?;
        load.wait_for(10, Duration::from_secs(30))?;
    }
    let api = Api::start(context.kubectl())?;
    let edits = Edits { api: &api, namespace: context.namespace(), loads: &loads, rps: RPS };
    let times = edits.measure(EDITS, |_, _| ())?;
    for load in &loads {
        context.settle(load, "role=checkout")?;
    }
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let (p50, p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
    eprintln!(
        "  {EDITS} edits in use after {:.1} ms (p50), {:.1} ms (p99), resolution {} ms",
        millis(p50),
        millis(p99),
        1000 / RPS
    );
    ensure(p99 <= P99_MAX, || format!("p99 is {:.1} ms, more than {} ms", millis(p99), P99_MAX.as_millis()))
}
