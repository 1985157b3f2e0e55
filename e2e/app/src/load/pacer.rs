//! The pacer: a thread that sleeps on the kernel's own timer, because the runtime's has steps of a millisecond.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::stats;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    /// Number within the run, from 0.
    pub(crate) seq: u64,
    /// When it should be sent.
    pub(crate) due: Instant,
    /// Number of the phase it belongs to.
    pub(crate) phase: usize,
}

/// What the pacer does at the moment.
struct Plan {
    interval: Duration,
    next: Instant,
    /// Requests left to send; 0 while stopped.
    left: u64,
    quit: bool,
}

/// Handle to the pacing thread.
#[derive(Clone)]
pub(crate) struct Pacer(Arc<(Mutex<Plan>, Condvar)>);

impl Pacer {
    /// Starts the thread, which sends nothing before [`Pacer::start`]. It ends with [`Pacer::quit`].
    pub(crate) fn spawn(tickets: mpsc::Sender<Ticket>, stats: stats::Shared) -> Self {
        let plan = Plan { interval: Duration::from_secs(1), next: Instant::now(), left: 0, quit: false };
        let pacer = Self(Arc::new((Mutex::new(plan), Condvar::new())));
        let thread = pacer.clone();
        thread::spawn(move || thread.pace(&tickets, &stats));
        pacer
    }

    /// Sends `count` requests (or without end) at `rps` from now on, in place of any earlier plan.
    pub(crate) fn start(&self, rps: f64, count: Option<u64>) {
        let mut plan = self.plan();
        plan.interval = Duration::from_secs_f64(1.0 / rps.max(0.001));
        plan.next = Instant::now();
        plan.left = count.unwrap_or(u64::MAX);
        self.0.1.notify_one();
    }

    /// Sends nothing more until the next start.
    pub(crate) fn stop(&self) {
        self.plan().left = 0;
    }

    /// Requests a second, 0 while stopped.
    pub(crate) fn rps(&self) -> f64 {
        let plan = self.plan();
        if plan.left == 0 { 0.0 } else { 1.0 / plan.interval.as_secs_f64() }
    }

    /// Ends the thread, and with it the workers.
    pub(crate) fn quit(&self) {
        self.plan().quit = true;
        self.0.1.notify_one();
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self, tickets: &mpsc::Sender<Ticket>, stats: &stats::Shared) {
        let mut seq = 0;
        while let Some(due) = self.next_due() {
            let mut stats = stats::lock(stats);
            let ticket = Ticket { seq, due, phase: stats.current_phase() };
            seq += 1;
            if tickets.try_send(ticket).is_err() {
                stats.not_sent(&ticket);
            }
        }
    }

    /// Sleeps until the next request is due; `None` ends the thread.
    fn next_due(&self) -> Option<Instant> {
        let mut plan = self.plan();
        loop {
            if plan.quit {
                return None;
            }
            if plan.left == 0 {
                plan = self.0.1.wait(plan).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let wait = plan.next.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            plan = self.0.1.wait_timeout(plan, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let due = plan.next;
        plan.next = due + plan.interval;
        plan.left -= 1;
        Some(due)
    }
}
