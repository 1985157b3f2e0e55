//! (pure) What a report shows of windows: figures with units, by target, over the rounds.

use crate::load::Latency;
use crate::stats::Spread;
use crate::targets::Role;
use crate::window::Window;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
    /// Says something about the conditions, not about a target.
    Neither,
}

/// One figure of a scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// What it is, with its unit.
    pub(crate) title: &'static str,
    pub(crate) better: Better,
    /// Reads it; `None` where a window or a target has none.
    pub(crate) of: fn(&Window) -> Option<f64>,
}

const fn figure(title: &'static str, better: Better, of: fn(&Window) -> Option<f64>) -> Figure {
    Figure { title, better, of }
}

/// Of an open loop.
const OPEN: &[Figure] = &[
    figure("p50, µs", Better::Lower, |window| latency(window, |latency| latency.p50)),
    figure("p90, µs", Better::Lower, |window| latency(window, |latency| latency.p90)),
    figure("p99, µs", Better::Lower, |window| latency(window, |latency| latency.p99)),
    figure("p99.9, µs", Better::Lower, |window| latency(window, |latency| latency.p999)),
    figure("CPU of both sidecars, µs a request", Better::Lower, sidecars),
    figure("CPU outbound, µs a request", Better::Lower, |window| sidecar(window, Role::Outbound)),
    figure("CPU inbound, µs a request", Better::Lower, |window| sidecar(window, Role::Inbound)),
    figure("RSS of the larger sidecar, MiB", Better::Lower, resident),
    figure("sent late p99, µs", Better::Neither, |window| latency(window, |latency| latency.lag_p99)),
    figure("other work, CPUs", Better::Neither, |window| Some(window.foreign_cpus)),
];

/// Of a closed loop.
const CLOSED: &[Figure] = &[
    figure("a second", Better::Higher, |window| Some(window.rate())),
    figure("p50, µs", Better::Lower, |window| window.seen.closed.map(|[p50, _, _]| p50)),
    figure("p99, µs", Better::Lower, |window| window.seen.closed.map(|[_, _, p99]| p99)),
    figure("CPU of both sidecars, µs each", Better::Lower, sidecars),
    figure("CPU outbound, µs each", Better::Lower, |window| sidecar(window, Role::Outbound)),
    figure("CPU inbound, µs each", Better::Lower, |window| sidecar(window, Role::Inbound)),
    figure("RSS of the larger sidecar, MiB", Better::Lower, resident),
    figure("other work, CPUs", Better::Neither, |window| Some(window.foreign_cpus)),
];

/// Of bulk.
const BULK: &[Figure] = &[
    figure("MB a second", Better::Higher, |window| Some(window.seen.bytes as f64 / 1e6 / window.seen.seconds)),
    figure("CPU of both sidecars, ms a GiB", Better::Lower, |window| {
        let ms = window.cpu_ms_per_gib(Role::Outbound.name()) + window.cpu_ms_per_gib(Role::Inbound.name());
        (ms > 0.0).then_some(ms)
    }),
    figure("CPU outbound, ms a GiB", Better::Lower, |window| positive(window.cpu_ms_per_gib(Role::Outbound.name()))),
    figure("CPU inbound, ms a GiB", Better::Lower, |window| positive(window.cpu_ms_per_gib(Role::Inbound.name()))),
    figure("other work, CPUs", Better::Neither, |window| Some(window.foreign_cpus)),
];

/// The figures of a scenario.
pub(crate) fn of_scenario(name: &str) -> &'static [Figure] {
    match name {
        _ if name.starts_with("rate-") => OPEN,
        _ if name.ends_with("bulk") => BULK,
        _ => CLOSED,
    }
}

fn resident(window: &Window) -> Option<f64> {
    let kib =
        [Role::Outbound, Role::Inbound].map(|role| window.resident_kib.get(role.name()).copied().unwrap_or_default());
    positive(kib.into_iter().max().unwrap_or_default() as f64 / 1024.0)
}

fn latency(window: &Window, of: fn(&Latency) -> f64) -> Option<f64> {
    window.seen.latency.as_ref().map(of)
}

fn sidecars(window: &Window) -> Option<f64> {
    positive(window.sidecars_us())
}

fn sidecar(window: &Window, role: Role) -> Option<f64> {
    positive(window.cpu_us(role.name()))
}

/// A target without sidecars has no such figure.
fn positive(figure: f64) -> Option<f64> {
    (figure > 0.0).then_some(figure)
}

/// Windows of one scenario and one target.
pub(crate) fn windows<'a>(
    all: &'a [Window],
    scenario: &'a str,
    target: &'a str,
) -> impl Iterator<Item = &'a Window> + Clone {
    all.iter().filter(move |window| window.scenario == scenario && window.target == target)
}

/// A figure over the rounds.
pub(crate) fn spread(all: &[Window], scenario: &str, target: &str, figure: &Figure) -> Option<Spread> {
    Spread::of(windows(all, scenario, target).filter_map(figure.of))
}

/// A figure of `target` divided by the same of `base` in the same round, over the rounds.
pub(crate) fn ratio(all: &[Window], scenario: &str, target: &str, base: &str, figure: &Figure) -> Option<Spread> {
    let pairs = windows(all, scenario, target).filter_map(|window| {
        let other = windows(all, scenario, base).find(|other| other.round == window.round)?;
        Some((figure.of)(window)? / (figure.of)(other)?)
    });
    Spread::of(pairs)
}

/// The order in which targets are measured in a round: each round begins with another one, so that none is always first.
pub(crate) fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Seen;

    fn window(target: &str, round: usize, requests: u64) -> Window {
        Window {
            target: target.to_owned(),
            scenario: "max",
            round,
            seen: Seen { requests, seconds: 1.0, ..Seen::default() },
            cpu_ns: [("outbound", 600_000), ("inbound", 400_000)].into(),
            foreign_cpus: 0.0,
            resident_kib: [].into(),
            speed: 1.0,
        }
    }

    #[test]
    fn ratios_pair_windows_of_the_same_round() {
        // The machine was twice as fast in the second round; the ratio does not see it.
        let all =
            [window("a", 0, 100), window("b", 0, 50), window("b", 1, 100), window("a", 1, 200), window("b", 2, 9)];
        let rate = &CLOSED[0];
        let found = ratio(&all, "max", "b", "a", rate).expect("two pairs");
        assert_eq!((found.min, found.median, found.max), (0.5, 0.5, 0.5));
        assert_eq!(spread(&all, "max", "a", rate).map(|spread| spread.median), Some(150.0));
        assert!(ratio(&all, "max", "c", "a", rate).is_none());
    }

    #[test]
    fn cpu_time_is_told_for_each_request() {
        let window = window("a", 0, 100);
        assert!((window.cpu_us("outbound") - 6.0).abs() < 1e-9 && (window.sidecars_us() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn every_round_begins_with_another_target() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 1).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(3, 5).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(order(0, 5).count(), 0);
    }
}
