//! The verdict over both ends of a conversation: each request answered once, executed once, and by its own answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::app::LEDGER_PORT;
use crate::kubectl::Kubectl;
use crate::load::Load;
use crate::pods;
use crate::reach::{PodPort, Reach};

/// A set of numbers as ranges, ends included.
pub type Ranges = Vec<[u64; 2]>;

/// The client's end.
#[derive(Debug, Clone, Deserialize)]
pub struct Ids {
    /// Prefix of the ids.
    pub run: String,
    /// Answered rightly.
    pub ok: Ranges,
    /// Failed; the first thousand.
    pub failed: Vec<u64>,
    /// Answered with another's answer; the first thousand.
    pub mismatched: Vec<u64>,
}

/// One server's end.
#[derive(Debug, Clone, Deserialize)]
pub struct Ledger {
    /// What it saw of each run.
    pub runs: BTreeMap<String, Run>,
}

/// What a server saw of a run.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Run {
    /// Ids seen.
    pub ranges: Ranges,
    /// Ids seen more than once by this server.
    pub doubled: u64,
}

impl Run {
    /// Number of ids seen.
    pub fn size(&self) -> u64 {
        size(&self.ranges)
    }
}

/// The comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Requests that were answered rightly.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests with another's answer.
    pub mismatched: u64,
    /// Requests executed more than once, by one server or by two.
    pub doubled: u64,
    /// Requests answered to the client that no server saw.
    pub unseen: u64,
}

impl Verdict {
    /// Compares one client with all servers. (pure)
    pub fn over(client: &Ids, servers: &[Ledger]) -> Self {
        let runs: Vec<&Run> = servers.iter().filter_map(|ledger| ledger.runs.get(&client.run)).collect();
        let seen_by: u64 = runs.iter().map(|run| run.size()).sum();
        let seen = union(runs.iter().flat_map(|run| run.ranges.iter().copied()));
        let all = union(seen.iter().chain(&client.ok).copied());
        Self {
            ok: size(&client.ok),
            failed: client.failed.len() as u64,
            mismatched: client.mismatched.len() as u64,
            doubled: runs.iter().map(|run| run.doubled).sum::<u64>() + (seen_by - size(&seen)),
            unseen: size(&all) - size(&seen),
        }
    }

    /// Fails unless every request was executed once and answered.
    pub fn expect_clean(&self) -> Result<()> {
        if self.failed + self.mismatched + self.doubled + self.unseen == 0 {
            return Ok(());
        }
        bail!("the ledger does not balance: {self:?}")
    }
}

/// Reads the ledgers of the living servers of an app label.
pub fn of_pods(reach: &Reach, kubectl: &Kubectl, selector: &str) -> Result<Vec<Ledger>> {
    let pods = pods::list(kubectl, selector)?;
    pods.iter().map(|pod| reach.http("GET", &PodPort::of(pod, LEDGER_PORT)?, "/ledger")?.json()).collect()
}

/// Reads the ledgers left behind by servers that have ended.
pub fn of_folder(folder: &Path) -> Result<Vec<Ledger>> {
    let mut ledgers = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            ledgers.push(
                serde_json::from_slice(&fs::read(&path)?)
                    .with_context(|| format!("{} is no ledger", path.display()))?,
            );
        }
    }
    Ok(ledgers)
}

/// Stops the load and compares it with the living servers behind `selector`.
pub fn settle(load: &Load, reach: &Reach, kubectl: &Kubectl, selector: &str) -> Result<Verdict> {
    let stats = load.stop()?;
    stats.total.expect_clean()?;
    let verdict = Verdict::over(&load.ids()?, &of_pods(reach, kubectl, selector)?);
    verdict.expect_clean()?;
    Ok(verdict)
}

fn size(ranges: &[[u64; 2]]) -> u64 {
    ranges.iter().map(|[first, last]| last - first + 1).sum()
}

fn union(ranges: impl Iterator<Item = [u64; 2]>) -> Ranges {
    let mut sorted: Ranges = ranges.collect();
    sorted.sort_unstable();
    let mut merged: Ranges = Vec::new();
    for [first, last] in sorted {
        match merged.last_mut() {
            Some(open) if first <= open[1].saturating_add(1) => open[1] = open[1].max(last),
            _ => merged.push([first, last]),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(ranges: &[[u64; 2]], doubled: u64) -> Ledger {
        Ledger { runs: BTreeMap::from([("r".to_owned(), Run { ranges: ranges.to_vec(), doubled })]) }
    }

    fn client(ok: &[[u64; 2]], failed: &[u64]) -> Ids {
        Ids { run: "r".to_owned(), ok: ok.to_vec(), failed: failed.to_vec(), mismatched: Vec::new() }
    }

    #[test]
    fn each_kind_of_imbalance_is_found() {
        let clean = Verdict { ok: 10, ..Verdict::default() };
        let rows = [
            (
                "two servers share the work",
                client(&[[0, 9]], &[]),
                vec![server(&[[0, 4], [7, 9]], 0), server(&[[5, 6]], 0)],
                clean.clone(),
            ),
            (
                "two servers did the same",
                client(&[[0, 9]], &[]),
                vec![server(&[[0, 5]], 0), server(&[[5, 9]], 0)],
                Verdict { doubled: 1, ..clean.clone() },
            ),
            (
                "one server did it twice",
                client(&[[0, 9]], &[]),
                vec![server(&[[0, 9]], 2)],
                Verdict { doubled: 2, ..clean.clone() },
            ),
            (
                "an answer from nowhere",
                client(&[[0, 9]], &[]),
                vec![server(&[[0, 7]], 0)],
                Verdict { unseen: 2, ..clean.clone() },
            ),
            (
                "a failure that was executed",
                client(&[[0, 9]], &[10]),
                vec![server(&[[0, 10]], 0)],
                Verdict { failed: 1, ..clean.clone() },
            ),
        ];
        for (what, client, servers, expected) in rows {
            assert_eq!(Verdict::over(&client, &servers), expected, "{what}");
        }
        assert!(clean.expect_clean().is_ok());
        assert!(Verdict { doubled: 1, ..clean }.expect_clean().is_err());
    }
}
