//! What is happening and how long is left, one line at a time, for terminals and logs alike.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two lines of a long step: a person starts to wonder after about this long.
const REMINDER: Duration = Duration::from_secs(20);

/// A step in progress: announced when made, repeated while it lasts, closed by [`Step::done`].
pub struct Step {
    what: String,
    start: Instant,
    stop: Option<mpsc::Sender<()>>,
    reminder: Option<JoinHandle<()>>,
}

impl Step {
    /// Announces `what`, which takes about `expected` when that is known.
    pub fn start(what: impl Into<String>, expected: Option<Duration>) -> Self {
        let what = what.into();
        let start = Instant::now();
        match expected {
            Some(expected) => eprintln!("{what}, {} ...", about(expected)),
            None => eprintln!("{what} ..."),
        }
        let (stop, stopped) = mpsc::channel();
        let line = what.clone();
        let reminder = thread::spawn(move || {
            while stopped.recv_timeout(REMINDER) == Err(RecvTimeoutError::Timeout) {
                eprintln!("  {line}: {}", elapsed(start.elapsed(), expected));
            }
        });
        Self { what, start, stop: Some(stop), reminder: Some(reminder) }
    }

    /// Closes the step with the time it took.
    pub fn done(self) -> Duration {
        let took = self.start.elapsed();
        eprintln!("{}: done in {:.1} s", self.what, took.as_secs_f64());
        took
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(reminder) = self.reminder.take() {
            drop(reminder.join());
        }
    }
}

fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("about {seconds} s"),
        seconds => format!("about {} min", (seconds + 30) / 60),
    }
}

fn elapsed(elapsed: Duration, expected: Option<Duration>) -> String {
    let so_far = format!("{} s", elapsed.as_secs());
    match expected.map(|expected| expected.saturating_sub(elapsed)) {
        Some(Duration::ZERO) => format!("{so_far}, longer than expected"),
        Some(left) => format!("{so_far}, {} left", about(left)),
        None => so_far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_a_person_says_them() {
        let seconds = Duration::from_secs;
        assert_eq!(about(seconds(40)), "about 40 s");
        assert_eq!(about(seconds(350)), "about 6 min");
        assert_eq!(elapsed(seconds(20), Some(seconds(60))), "20 s, about 40 s left");
        assert_eq!(elapsed(seconds(61), Some(seconds(60))), "61 s, longer than expected");
    }
}
