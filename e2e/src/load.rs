//! The load in a pod, steered and read from here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::app::CONTROL_PORT;
use crate::http::Answer;
use crate::kubectl::Kubectl;
use crate::reach::{PodPort, Reach};
use crate::{pods, wait};

/// Statistics of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Stats {
    /// Requests a second at the moment.
    pub rps: f64,
    /// Prefix of the ids.
    pub run: String,
    /// The run as a whole.
    pub total: Counters,
    /// The phase that is on.
    pub phase: Counters,
}

/// Counters of the run or of a phase.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Counters {
    /// Name of the phase.
    pub name: String,
    /// Requests sent.
    pub sent: u64,
    /// Answered rightly.
    pub ok: u64,
    /// Not answered, or with an error.
    pub failed: u64,
    /// Answered with another request's answer.
    pub mismatched: u64,
    /// Sent and not yet answered.
    pub in_flight: u64,
    /// Answers by the server's name.
    pub by_name: BTreeMap<String, Share>,
    /// Failures by reason.
    pub failures: BTreeMap<String, FailureKind>,
    /// Latency from the moment a request was due, in microseconds.
    pub latency_us: Quantiles,
}

/// Answers of one server.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// When the last request was sent that it answered, Unix microseconds.
    pub last_sent_us: u64,
}

/// Failures of one kind.
#[derive(Debug, Clone, Deserialize)]
pub struct FailureKind {
    /// How many.
    pub count: u64,
    /// The first few.
    pub samples: Vec<serde_json::Value>,
}

/// Latency quantiles in microseconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[allow(missing_docs)] // a name like p99 says it all
pub struct Quantiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl Counters {
    /// Answers of the server with this name.
    pub fn of(&self, name: &str) -> u64 {
        self.by_name.get(name).map_or(0, |share| share.count)
    }

    /// Share of this server among the answers, 0 to 1.
    pub fn share(&self, name: &str) -> f64 {
        if self.ok == 0 { 0.0 } else { self.of(name) as f64 / self.ok as f64 }
    }

    /// Fails with the first samples when a request failed or got another's answer.
    pub fn expect_clean(&self) -> Result<()> {
        if self.failed + self.mismatched == 0 {
            return Ok(());
        }
        let failures = serde_json::to_string(
            &self.failures.iter().map(|(reason, kind)| (reason, kind.count, &kind.samples)).collect::<Vec<_>>(),
        )?;
        bail!("{} of {} requests failed, {} got another's answer: {failures}", self.failed, self.sent, self.mismatched)
    }
}

/// One load pod.
#[derive(Debug, Clone)]
pub struct Load {
    reach: Reach,
    port: PodPort,
}

impl Load {
    /// Finds the pod of a load's Deployment; it must be ready.
    pub fn find(reach: &Reach, kubectl: &Kubectl, name: &str) -> Result<Self> {
        let port = PodPort::of(&pods::one(kubectl, &format!("app={name}"))?, CONTROL_PORT)?;
        Ok(Self { reach: reach.clone(), port })
    }

    /// Statistics so far.
    pub fn stats(&self) -> Result<Stats> {
        self.call("GET", "/stats")?.json()
    }

    /// Which ids were answered, failed or mismatched.
    pub fn ids(&self) -> Result<crate::ledger::Ids> {
        self.call("GET", "/ids")?.json()
    }

    /// Sends `rps` requests a second from now on, in a phase of this name, `count` of them or without end.
    pub fn start(&self, rps: u32, count: Option<u64>, phase: &str) -> Result<()> {
        let count = count.map_or_else(String::new, |count| format!("&count={count}"));
        self.call("POST", &format!("/start?rps={rps}&phase={phase}{count}")).map(drop)
    }

    /// Counts from here on under another name.
    pub fn phase(&self, name: &str) -> Result<()> {
        self.call("POST", &format!("/phase?name={name}")).map(drop)
    }

    /// Stops sending and waits until every request has its end; answers with the whole run.
    pub fn stop(&self) -> Result<Stats> {
        self.call("POST", "/stop")?;
        wait::until(Duration::from_secs(20), "the last answers", || {
            let stats = self.stats()?;
            Ok((stats.total.in_flight == 0).then_some(stats))
        })
    }

    /// Waits until the current phase has `count` answers.
    pub fn wait_for(&self, count: u64, deadline: Duration) -> Result<Stats> {
        wait::until(deadline, &format!("{count} answers"), || {
            let stats = self.stats()?;
            let ended = stats.phase.ok + stats.phase.failed + stats.phase.mismatched;
            Ok((ended >= count).then_some(stats))
        })
    }

    fn call(&self, method: &str, path: &str) -> Result<Answer> {
        let answer =
            self.reach.http(method, &self.port, path).context("the load does not answer on its control port")?;
        if answer.status != 200 {
            bail!("{method} {path}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer)
    }
}
