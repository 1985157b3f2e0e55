//! When to renew and when to try again. Pure: clock and draw are arguments.

use std::time::Duration;

/// Share of the remaining life around half of it in which renewals are spread, so that proxies started together do not ask together.
const SPREAD: f64 = 0.2;
/// First pause after a failure.
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between attempts.
const BACK_OFF_LAST: Duration = Duration::from_secs(30);

/// The moment to renew: half of what is left of the life, ± 10 %. All moments are since the Unix epoch.
///
/// The life counts from `now` where the issuer dated it back, so that short certificates are not renewed in a circle.
pub(super) fn renew_at(not_before: Duration, not_after: Duration, now: Duration, draw: u64) -> Duration {
    let start = not_before.max(now);
    let life = not_after.saturating_sub(start);
    start + life.mul_f64(0.5 - SPREAD / 2.0 + SPREAD * fraction(draw))
}

/// The pause after this many earlier failures: doubled each time, between half of it and all of it.
pub(super) fn back_off(failures: u32, draw: u64) -> Duration {
    let full = BACK_OFF_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(BACK_OFF_LAST);
    full.mul_f64(0.5 + 0.5 * fraction(draw))
}

/// A uniform draw as a number from 0 to below 1.
fn fraction(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_at_half_of_the_life_with_jitter() {
        const HOUR: u64 = 3600;
        let at = |before, after, now, draw| {
            renew_at(Duration::from_secs(before), Duration::from_secs(after), Duration::from_secs(now), draw)
                .as_secs_f64()
        };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.01, "{a} is not {b}");
        near(at(0, 24 * HOUR, 0, 0), 0.4 * 24.0 * 3600.0);
        near(at(0, 24 * HOUR, 0, u64::MAX / 2), 12.0 * 3600.0);
        near(at(0, 24 * HOUR, 0, u64::MAX), 0.6 * 24.0 * 3600.0);
        // Dated back by the length of its life: half of what is left.
        near(at(1000, 1120, 1060, u64::MAX / 2), 1090.0);
        // Starts in the future (our clock is behind): half of its life.
        near(at(1000, 1100, 900, u64::MAX / 2), 1050.0);
        // Over already: at once.
        near(at(0, 100, 200, 0), 200.0);
    }

    #[test]
    fn pauses_double_up_to_the_last_and_never_vanish() {
        let table = [
            (0, 125, 250),
            (1, 250, 500),
            (3, 1000, 2000),
            (6, 8000, 16_000),
            (7, 15_000, 30_000),
            (u32::MAX, 15_000, 30_000),
        ];
        for (failures, least, most) in table {
            assert_eq!(back_off(failures, 0), Duration::from_millis(least), "{failures}");
            let highest = back_off(failures, u64::MAX);
            assert!(
                highest <= Duration::from_millis(most) && highest > Duration::from_millis(most - 1),
                "{failures}: {highest:?}"
            );
        }
    }
}
