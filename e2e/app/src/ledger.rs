//! The ledger: which request ids were seen, and which of them more than once.
//!
//! An id reads `run-seq`, where `seq` counts up from 0 within one run of the load, so a million ids fit into a few ranges.

use std::collections::BTreeMap;

use serde::Serialize;

/// Header that carries the id of a request, and of the request an answer belongs to.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// Runs remembered; a test has a handful.
const RUNS_MAX: usize = 64;
/// Duplicates listed by name; beyond that the count says enough.
const LISTED_MAX: usize = 1_000;

/// Splits `run-seq` into its parts; `None` for ids of other make.
pub(crate) fn parse(id: &str) -> Option<(&str, u64)> {
    let (run, seq) = id.rsplit_once('-')?;
    Some((run, seq.parse().ok()?)).filter(|(run, _)| !run.is_empty())
}

/// A set of numbers kept as ranges.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds `number`; answers false when it was there already.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let mut first = number;
        let mut last = number;
        if let Some((start, end)) = before
            && end + 1 == number
        {
            first = start;
        }
        if let Some(end) = number.checked_add(1).and_then(|next| self.0.remove(&next)) {
            last = end;
        }
        self.0.insert(first, last);
        true
    }
}

impl Serialize for Ranges {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(first, last)| [first, last]))
    }
}

/// What one end of the conversation has seen.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ledger {
    /// Requests of any kind, with and without an id.
    requests: u64,
    /// Requests without an id of the form `run-seq`.
    anonymous: u64,
    runs: BTreeMap<String, Run>,
}

#[derive(Debug, Default, Serialize)]
struct Run {
    ranges: Ranges,
    count: u64,
    doubled: u64,
    /// The first of the ids seen again.
    duplicates: Vec<u64>,
}

impl Ledger {
    /// Records one request.
    pub(crate) fn record(&mut self, id: Option<&str>) {
        self.requests += 1;
        let Some((run, seq)) = id.and_then(parse) else {
            self.anonymous += 1;
            return;
        };
        if !self.runs.contains_key(run) {
            if self.runs.len() == RUNS_MAX {
                self.anonymous += 1;
                return;
            }
            self.runs.insert(run.to_owned(), Run::default());
        }
        let Some(run) = self.runs.get_mut(run) else { return };
        run.count += 1;
        if !run.ranges.insert(seq) {
            run.doubled += 1;
            if run.duplicates.len() < LISTED_MAX {
                run.duplicates.push(seq);
            }
        }
    }
}

#[cfg(test)]
mod tests;
