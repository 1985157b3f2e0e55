//! How long an edit of weights takes to be in use everywhere.
//!
//! Measured at the requests themselves: the last one *sent* that the old backend still answered, seen from every
//! client, against the moment the API server had answered the edit. No metric of the mesh is believed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::json;

use crate::api::Api;
use crate::load::Load;
use crate::wait;

/// Requests that only the new backend must have answered before the next edit.
const QUIET: u64 = 10;
/// An edit that is not in use by then is lost.
const DEADLINE: Duration = Duration::from_secs(10);

/// The clients of a canary named `checkout`, each with this many requests a second.
pub struct Edits<'a> {
    /// Connection to the API server.
    pub api: &'a Api,
    /// Namespace of the TrafficSplit.
    pub namespace: &'a str,
    /// Clients, all of them running.
    pub loads: &'a [Load],
    /// Requests a second of each: its inverse is the resolution, and counted against the result.
    pub rps: u32,
}

impl Edits<'_> {
    /// Turns all traffic over `count` times; answers with the times, shortest first. `seen` is told of each.
    pub fn measure(&self, count: usize, mut seen: impl FnMut(usize, Duration)) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        self.flip("v2", "v1").context("the edit before the first")?;
        for edit in 0..count {
            let (old, new) = if edit % 2 == 0 { ("v1", "v2") } else { ("v2", "v1") };
            let time = self.flip(old, new)?;
            seen(edit + 1, time);
            times.push(time);
        }
        times.sort_unstable();
        Ok(times)
    }

    fn flip(&self, old: &str, new: &str) -> Result<Duration> {
        for load in self.loads {
            load.phase(&format!("edit-to-{new}"))?;
        }
        let weight = |version: &str| if version == new { 100 } else { 0 };
        let backend = |version: &str| json!({"service": format!("checkout-{version}"), "weight": weight(version)});
        let path = format!("/apis/tulle.dev/v1alpha1/namespaces/{}/trafficsplits/checkout", self.namespace);
        let patch = json!({"spec": {"backends": [backend("v1"), backend("v2")]}});
        let answered_us = unix_micros(self.api.patch(&path, &patch).context("cannot edit the weights")?);
        let mut slowest = Duration::ZERO;
        for load in self.loads {
            let last_us =
                wait::until(DEADLINE, &format!("all traffic to be on {new}"), || self.last_of(load, old, new))?;
            slowest = slowest.max(Duration::from_micros(last_us.saturating_sub(answered_us)));
        }
        // The new weight was in use by the next request at the latest.
        Ok(slowest + Duration::from_secs(1) / self.rps)
    }

    /// When the last request was sent that `old` answered, once it answers no more.
    fn last_of(&self, load: &Load, old: &str, new: &str) -> Result<Option<u64>> {
        let phase = load.stats()?.phase;
        let last_us = phase.by_name.get(old).map_or(0, |share| share.last_sent_us);
        let quiet_us = QUIET * 1_000_000 / u64::from(self.rps);
        let followed = phase.of(new) >= QUIET && last_us + quiet_us < unix_micros(SystemTime::now());
        Ok(followed.then_some(last_us))
    }
}

/// The time below which `share` of the sorted `times` lie.
pub fn quantile(times: &[Duration], share: f64) -> Duration {
    let rank = (times.len() as f64 * share).ceil() as usize;
    times.get(rank.max(1) - 1).or(times.last()).copied().unwrap_or_default()
}

fn unix_micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_fifty() {
        let times: Vec<Duration> = (1..=50).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Duration::from_millis(25));
        assert_eq!(quantile(&times, 0.99), Duration::from_millis(50));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
