//! The canary, step by step.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tulle_e2e::api::Api;
use tulle_e2e::load::{Counters, Load};
use tulle_e2e::{interrupt, shares, wait};

use super::place::Place;
use super::report::StepReport;
use super::screen::Screen;
use super::{CLIENT, NAMESPACE};

/// The weights of the old and the new version.
pub(super) const WEIGHTS: [[u64; 2]; 4] = [[100, 0], [90, 10], [50, 50], [0, 100]];
/// Requests in a look at whether an edit has arrived.
const WINDOW: u64 = 100;
/// An edit takes milliseconds to arrive; after this it is lost.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two drawings.
const FRAME: Duration = Duration::from_millis(200);
/// A step takes its requests divided by the rate; a machine that cannot hold the rate takes longer.
const STEP_DEADLINE: Duration = Duration::from_secs(180);

/// One setting of the weights.
pub(super) struct Step {
    pub(super) number: usize,
    pub(super) weights: [u64; 2],
    pub(super) requests: u64,
}

impl Step {
    /// Edits the weights under load and counts the requests that follow.
    pub(super) fn run(&self, api: &Api, load: &Load, screen: &mut Screen) -> Result<StepReport> {
        load.phase("change")?;
        self.edit(api)?;
        wait::until(ARRIVAL_DEADLINE, &format!("the weights {:?} to be in use", self.weights), || {
            self.has_arrived(load)
        })?;
        load.phase(&format!("{}-{}", self.weights[0], self.weights[1]))?;
        let phase = self.count(load, screen)?;
        Ok(StepReport {
            expected: self.expected() * 100.0,
            measured: phase.share("v2") * 100.0,
            requests: phase.ok,
            failed: phase.failed + phase.mismatched,
            p50_us: phase.latency_us.p50,
            p99_us: phase.latency_us.p99,
        })
    }

    fn expected(&self) -> f64 {
        self.weights[1] as f64 / (self.weights[0] + self.weights[1]) as f64
    }

    fn edit(&self, api: &Api) -> Result<()> {
        let backend = |service: &str, weight: u64| json!({"service": service, "weight": weight});
        let backends = [backend("checkout-v1", self.weights[0]), backend("checkout-v2", self.weights[1])];
        let path = format!("/apis/tulle.dev/v1alpha1/namespaces/{NAMESPACE}/trafficsplits/checkout");
        api.patch(&path, &json!({"spec": {"backends": backends}})).context("cannot edit the weights").map(drop)
    }

    /// Looks at the next few requests: can they be of the new weights?
    fn has_arrived(&self, load: &Load) -> Result<Option<()>> {
        load.phase("change")?;
        let phase = load.wait_for(WINDOW, ARRIVAL_DEADLINE)?.phase;
        Ok(shares::is_plausible(self.expected(), phase.share("v2"), phase.ok).then_some(()))
    }

    fn count(&self, load: &Load, screen: &mut Screen) -> Result<Counters> {
        let title = format!(
            "step {}/{}  {:>7}",
            self.number,
            WEIGHTS.len(),
            format!("{}/{}", self.weights[0], self.weights[1])
        );
        let start = Instant::now();
        loop {
            interrupt::check()?;
            let phase = load.stats()?.phase;
            screen.step(&title, &phase, Some(self.requests));
            if phase.ok + phase.failed + phase.mismatched >= self.requests {
                screen.end();
                return Ok(phase);
            }
            if start.elapsed() > STEP_DEADLINE {
                bail!(
                    "only {} of {} requests were answered in {STEP_DEADLINE:?}; try a lower --rps",
                    phase.ok,
                    self.requests
                );
            }
            thread::sleep(FRAME);
        }
    }
}

/// Shows live shares of the last second or two until Ctrl-C.
pub(super) fn follow(place: &Place) -> Result<()> {
    const PHASE: Duration = Duration::from_secs(2);
    let load = Load::find(place.reach(), &place.kubectl().namespaced(NAMESPACE), CLIENT)?;
    let mut screen = Screen::new();
    while !interrupt::requested() {
        load.phase("follow")?;
        let start = Instant::now();
        while start.elapsed() < PHASE && !interrupt::requested() {
            thread::sleep(FRAME);
            screen.step("live", &load.stats()?.phase, None);
        }
    }
    screen.end();
    Ok(())
}
