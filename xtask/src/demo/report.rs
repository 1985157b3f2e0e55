//! The figures of a demo, for people and for machines.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tulle_e2e::ledger::Verdict;
use tulle_e2e::shares;

/// Deviation allowed in points, next to what chance explains.
const POINTS_MAX: f64 = 1.5;
/// A first request within a minute of `helm install` is promised.
const FIRST_REQUEST_SECONDS_MAX: f64 = 60.0;

/// Everything measured.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Requests sent over the whole run, changes of weight and edits included.
    pub(super) requests: u64,
    /// Requests that failed or got another's answer.
    pub(super) failed: u64,
    /// Failures by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) steps: Vec<StepReport>,
    pub(super) propagation_ms: Propagation,
    /// Resident memory before the load, the largest process of each component; empty on a cluster of others.
    pub(super) rss_mib: BTreeMap<String, f64>,
    /// Resident memory of the busiest proxy at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rss_mib_proxy_after_load: Option<f64>,
    pub(super) image_mib: BTreeMap<String, f64>,
    pub(super) seconds: Seconds,
}

/// One setting of the weights.
#[derive(Debug, Serialize)]
pub(super) struct StepReport {
    /// Wanted share of the new version in percent.
    pub(super) expected: f64,
    /// Measured share in percent.
    pub(super) measured: f64,
    #[serde(skip)]
    pub(super) requests: u64,
    #[serde(skip)]
    pub(super) failed: u64,
    #[serde(skip)]
    pub(super) p50_us: u64,
    #[serde(skip)]
    pub(super) p99_us: u64,
}

/// Time from the API server's answer to an edit until the last proxy uses it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Propagation {
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Time between two requests, which no figure can be below.
    #[serde(skip)]
    pub(super) resolution: f64,
}

/// How long things took.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seconds {
    /// Nothing running to a usable Kubernetes; 0 on a cluster of others.
    pub(super) cluster_boot: f64,
    /// `helm install --wait`.
    pub(super) install: f64,
    /// From the start of the installation to the first request through two proxies.
    pub(super) first_meshed_request: f64,
    /// The whole demo, builds included.
    pub(super) total: f64,
}

impl StepReport {
    /// Whether the measured share can be the wanted one.
    pub(super) fn is_good(&self) -> bool {
        let (expected, measured) = (self.expected / 100.0, self.measured / 100.0);
        (self.measured - self.expected).abs() <= POINTS_MAX && shares::is_plausible(expected, measured, self.requests)
    }
}

impl Report {
    /// Writes the JSON.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }

    /// Fails unless everything promised was kept.
    pub(super) fn expect_good(&self) -> Result<()> {
        if self.failed > 0 {
            bail!("{} of {} requests failed: {:?}", self.failed, self.requests, self.failures);
        }
        if let Some(step) = self.steps.iter().find(|step| !step.is_good()) {
            bail!("the new version received {:.2} % instead of {:.0} %", step.measured, step.expected);
        }
        if self.seconds.first_meshed_request > FIRST_REQUEST_SECONDS_MAX {
            bail!("the first meshed request came {:.0} s after helm install began", self.seconds.first_meshed_request);
        }
        Ok(())
    }

    /// The closing words.
    pub(super) fn summary(&self, verdict: &Verdict, plaintext_watched: bool) {
        eprintln!("\nWEIGHTS    NEW VERSION   MEASURED   REQUESTS   FAILED       P50       P99");
        for step in &self.steps {
            let (weights, mark) = (format!("{:.0}/{:.0}", 100.0 - step.expected, step.expected), mark(step.is_good()));
            let millis = |micros: u64| micros as f64 / 1000.0;
            eprintln!(
                "{weights:<10} {:>9.0} % {:>8.2} % {mark} {:>8} {:>8} {:>6.1} ms {:>6.1} ms",
                step.expected,
                step.measured,
                step.requests,
                step.failed,
                millis(step.p50_us),
                millis(step.p99_us),
            );
        }
        let clean = verdict.expect_clean().is_ok();
        eprintln!(
            "\n{} {} requests: {} failed, {} executed twice, {} with another's answer",
            mark(clean),
            self.requests,
            self.failed,
            verdict.doubled,
            verdict.mismatched,
        );
        for (reason, count) in &self.failures {
            eprintln!("    {count} × {reason}");
        }
        eprintln!(
            "{} an edit is in use after {:.1} ms (p50), {:.1} ms (p99), seen with a request every {:.1} ms",
            mark(true),
            self.propagation_ms.p50,
            self.propagation_ms.p99,
            self.propagation_ms.resolution,
        );
        if plaintext_watched {
            eprintln!("{} no plaintext between meshed pods, watched by the kernel of every node", mark(true));
        }
        let seconds = &self.seconds;
        eprintln!(
            "\ntime     cluster {:.1} s   install {:.1} s   first meshed request {:.1} s   in all {:.0} s",
            seconds.cluster_boot, seconds.install, seconds.first_meshed_request, seconds.total,
        );
        eprintln!("memory   {}", in_mib(&self.rss_mib));
        if let Some(after) = self.rss_mib_proxy_after_load {
            eprintln!("         proxy {after:.1} MiB after the load");
        }
        eprintln!("images   {}", in_mib(&self.image_mib));
    }
}

/// `tulle-proxy` is the process of the component `proxy`; the test application is none.
pub(super) fn by_component(processes: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let components = ["operator", "webhook", "proxy"];
    let named =
        processes.into_iter().filter_map(|(process, mib)| Some((process.strip_prefix("tulle-")?.to_owned(), mib)));
    named.filter(|(component, _)| components.contains(&component.as_str())).collect()
}

fn in_mib(components: &BTreeMap<String, f64>) -> String {
    let parts: Vec<String> = components.iter().map(|(component, mib)| format!("{component} {mib:.1} MiB")).collect();
    if parts.is_empty() { "not visible from here".to_owned() } else { parts.join("   ") }
}

fn mark(good: bool) -> &'static str {
    if good { "✔" } else { "✖" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(expected: f64, measured: f64) -> StepReport {
        StepReport { expected, measured, requests: 10_000, failed: 0, p50_us: 0, p99_us: 0 }
    }

    #[test]
    fn a_share_must_be_near_and_plausible() {
        assert!(step(10.0, 10.9).is_good());
        assert!(!step(10.0, 11.4).is_good(), "within the points, but 4.7 standard deviations off");
        assert!(!step(50.0, 51.6).is_good(), "plausible, but beyond the points");
        assert!(!step(0.0, 0.01).is_good());
    }

    #[test]
    fn the_report_has_the_agreed_names() {
        let json =
            serde_json::to_value(Report { steps: vec![step(10.0, 9.8)], ..Report::default() }).expect("plain data");
        assert_eq!(json["steps"][0].to_string(), r#"{"expected":10.0,"measured":9.8}"#);
        for path in [
            "/requests",
            "/failed",
            "/propagation_ms/p50",
            "/propagation_ms/p99",
            "/rss_mib",
            "/image_mib",
            "/seconds/cluster_boot",
            "/seconds/install",
            "/seconds/first_meshed_request",
            "/seconds/total",
        ] {
            assert!(json.pointer(path).is_some(), "{path}");
        }
    }
}
