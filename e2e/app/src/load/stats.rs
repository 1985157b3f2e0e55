//! What became of every request, in total and by phase.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::pacer::Ticket;
use super::{Answer, Failure, Mode};
use crate::histogram::{Histogram, Quantiles};
use crate::ledger::Ranges;

/// Phases remembered; a test has a dozen, a measurement of fifty edits a hundred.
const PHASES_MAX: usize = 512;
/// Failures described one by one, for each reason.
const SAMPLES_MAX: usize = 5;
/// Failed and mismatched ids listed; beyond that the count says enough.
const LISTED_MAX: usize = 1_000;

/// Statistics behind a lock that is held for microseconds and never across a wait.
pub(crate) type Shared = Arc<Mutex<Stats>>;

/// Locks; a panic elsewhere would have left plain counters behind.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Stats> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that is known of a run.
pub(crate) struct Stats {
    run: String,
    mode: Mode,
    total: Counters,
    phases: Vec<Counters>,
    connections: u64,
    ok: Ranges,
    failed: Vec<u64>,
    mismatched: Vec<u64>,
}

/// Counters of the run or of a phase.
#[derive(Default)]
struct Counters {
    name: String,
    sent: u64,
    ok: u64,
    failed: u64,
    mismatched: u64,
    by_name: BTreeMap<String, Share>,
    failures: BTreeMap<String, FailureKind>,
    latency: Histogram,
}

#[derive(Default, Clone, Serialize)]
struct Share {
    count: u64,
    /// When the last request was sent that this server answered, Unix microseconds.
    last_sent_us: u64,
}

#[derive(Default, Clone, Serialize)]
struct FailureKind {
    count: u64,
    samples: Vec<Sample>,
}

#[derive(Clone, Serialize)]
struct Sample {
    id: String,
    error: String,
    tulle_error: Option<String>,
    sent_us: u64,
}

/// [`Counters`] as printed.
#[derive(Serialize)]
pub(crate) struct CountersReport {
    name: String,
    sent: u64,
    ok: u64,
    failed: u64,
    mismatched: u64,
    in_flight: u64,
    by_name: BTreeMap<String, Share>,
    failures: BTreeMap<String, FailureKind>,
    latency_us: Quantiles,
}

/// `GET /stats`.
#[derive(Serialize)]
pub(crate) struct Report {
    run: String,
    mode: Mode,
    connections_opened: u64,
    total: CountersReport,
    /// The phase that is on.
    phase: CountersReport,
}

/// `GET /ids`.
#[derive(Serialize)]
pub(crate) struct Ids {
    run: String,
    ok: Ranges,
    failed: Vec<u64>,
    mismatched: Vec<u64>,
}

impl Stats {
    /// Empty statistics, in a phase without a name.
    pub(crate) fn shared(run: &str, mode: Mode) -> Shared {
        Arc::new(Mutex::new(Self {
            run: run.to_owned(),
            mode,
            total: Counters::default(),
            phases: vec![Counters::default()],
            connections: 0,
            ok: Ranges::default(),
            failed: Vec::new(),
            mismatched: Vec::new(),
        }))
    }

    /// Opens the next phase: requests that fall due from now on belong to it.
    pub(crate) fn begin_phase(&mut self, name: &str) {
        let next = Counters { name: name.to_owned(), ..Counters::default() };
        if self.phases.len() < PHASES_MAX {
            self.phases.push(next);
        } else if let Some(last) = self.phases.last_mut() {
            *last = next;
        }
    }

    /// Number of the phase that is on.
    pub(crate) fn current_phase(&self) -> usize {
        self.phases.len() - 1 // never empty
    }

    /// Notes a new connection.
    pub(crate) fn connected(&mut self) {
        self.connections += 1;
    }

    /// Notes that the request goes out, and answers with its id.
    pub(crate) fn sent(&mut self, ticket: &Ticket) -> String {
        self.each(ticket, |counters| counters.sent += 1);
        format!("{}-{}", self.run, ticket.seq)
    }

    /// Notes a request that fell due while the backlog was full.
    pub(crate) fn not_sent(&mut self, ticket: &Ticket) {
        let id = self.sent(ticket);
        let failure = Failure::new("not-sent", "every connection is busy and the backlog is full".to_owned());
        self.finished(ticket, &id, SystemTime::now(), Err(failure));
    }

    /// Notes the end of a request.
    pub(crate) fn finished(&mut self, ticket: &Ticket, id: &str, sent: SystemTime, outcome: Result<Answer, Failure>) {
        let micros = u64::try_from(ticket.due.elapsed().as_micros()).unwrap_or(u64::MAX);
        let sent_us = sent.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        self.each(ticket, |counters| counters.latency.record(micros));
        match outcome {
            Ok(answer) if answer.id == id => {
                self.ok.insert(ticket.seq);
                self.each(ticket, |counters| counters.answered(&answer.name, sent_us));
            }
            Ok(answer) => {
                list(&mut self.mismatched, ticket.seq);
                let failure = Failure::new("mismatched", format!("the answer belongs to {:?}", answer.id));
                self.each(ticket, |counters| {
                    counters.mismatched += 1;
                    counters.fail(id, sent_us, &failure);
                });
            }
            Err(failure) => {
                list(&mut self.failed, ticket.seq);
                self.each(ticket, |counters| {
                    counters.failed += 1;
                    counters.fail(id, sent_us, &failure);
                });
            }
        }
    }

    /// The run so far.
    pub(crate) fn report(&self) -> Report {
        Report {
            run: self.run.clone(),
            mode: self.mode,
            connections_opened: self.connections,
            total: self.total.report(),
            phase: self.phases[self.current_phase()].report(),
        }
    }

    /// Every phase so far, oldest first.
    pub(crate) fn phases(&self) -> Vec<CountersReport> {
        self.phases.iter().map(Counters::report).collect()
    }

    /// What became of which id: this end's ledger.
    pub(crate) fn ids(&self) -> Ids {
        Ids {
            run: self.run.clone(),
            ok: self.ok.clone(),
            failed: self.failed.clone(),
            mismatched: self.mismatched.clone(),
        }
    }

    fn each(&mut self, ticket: &Ticket, mut note: impl FnMut(&mut Counters)) {
        note(&mut self.total);
        if let Some(phase) = self.phases.get_mut(ticket.phase) {
            note(phase);
        }
    }
}

impl Counters {
    fn answered(&mut self, name: &str, sent_us: u64) {
        self.ok += 1;
        // Looked up first: an allocation for each of a million requests would be the load's own cost.
        let share = match self.by_name.get_mut(name) {
            Some(share) => share,
            None => self.by_name.entry(name.to_owned()).or_default(),
        };
        share.count += 1;
        share.last_sent_us = share.last_sent_us.max(sent_us);
    }

    fn fail(&mut self, id: &str, sent_us: u64, failure: &Failure) {
        let kind = self.failures.entry(failure.reason.clone()).or_default();
        kind.count += 1;
        if kind.samples.len() < SAMPLES_MAX {
            let (error, tulle_error) = (failure.text.clone(), failure.tulle_error.clone());
            kind.samples.push(Sample { id: id.to_owned(), error, tulle_error, sent_us });
        }
    }

    fn report(&self) -> CountersReport {
        CountersReport {
            name: self.name.clone(),
            sent: self.sent,
            ok: self.ok,
            failed: self.failed,
            mismatched: self.mismatched,
            in_flight: self.sent - self.ok - self.failed - self.mismatched,
            by_name: self.by_name.clone(),
            failures: self.failures.clone(),
            latency_us: self.latency.quantiles(),
        }
    }
}

fn list(ids: &mut Vec<u64>, seq: u64) {
    if ids.len() < LISTED_MAX {
        ids.push(seq);
    }
}
