//! The live line: drawn over itself on a terminal, and now and then a line of its own elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tulle_e2e::load::Counters;

/// Width of the bar of shares.
const BAR: usize = 30;
/// Time between two lines where nobody watches live: enough for a log, not too much.
const PLAIN_PAUSE: Duration = Duration::from_secs(3);

/// Standard error as a screen.
pub(super) struct Screen {
    live: bool,
    drawn: bool,
    last: Option<Instant>,
}

impl Screen {
    /// A screen that finds out whether somebody watches.
    pub(super) fn new() -> Self {
        Self { live: io::stderr().is_terminal(), drawn: false, last: None }
    }

    /// Shows the state of a step.
    pub(super) fn step(&mut self, title: &str, phase: &Counters, wanted: Option<u64>) {
        let progress =
            wanted.map_or_else(|| format!("{:>6}", phase.ok), |wanted| format!("{:>6}/{wanted}", phase.ok.min(wanted)));
        let share = phase.share("v2");
        let millis = |micros: u64| micros as f64 / 1000.0;
        self.draw(&format!(
            "{title}  v1 {} v2 {:>5.1} %  {progress}  {:>3} failed  p50 {:.1} ms  p99 {:.1} ms",
            bar(share),
            share * 100.0,
            phase.failed + phase.mismatched,
            millis(phase.latency_us.p50),
            millis(phase.latency_us.p99),
        ));
    }

    /// Shows the measurement of edits.
    pub(super) fn edit(&mut self, edit: usize, edits: usize, time: Duration) {
        self.draw(&format!("edit {edit}/{edits}  in use after {:.1} ms", time.as_secs_f64() * 1000.0));
    }

    /// Leaves the last line standing.
    pub(super) fn end(&mut self) {
        if self.live && self.drawn {
            eprintln!();
        }
        (self.drawn, self.last) = (false, None);
    }

    fn draw(&mut self, line: &str) {
        if self.live {
            // Back to the first column, and nothing of the longer line before.
            eprint!("\r\x1b[K{line}");
            let _ = io::stderr().flush();
            self.drawn = true;
        } else if self.last.is_none_or(|last| last.elapsed() >= PLAIN_PAUSE) {
            eprintln!("{line}");
            self.last = Some(Instant::now());
        }
    }
}

/// The share of the new version as a bar, filled from the right.
fn bar(share: f64) -> String {
    let filled = ((share * BAR as f64).round() as usize).min(BAR);
    "░".repeat(BAR - filled) + &"█".repeat(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_one_width() {
        for share in [0.0, 0.1, 0.5, 0.999, 1.0] {
            assert_eq!(bar(share).chars().count(), BAR, "{share}");
        }
        assert_eq!(bar(0.1).chars().filter(|&piece| piece == '█').count(), 3);
    }
}
