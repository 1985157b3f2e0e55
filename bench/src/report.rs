//! What was found: lines while it runs, and at the end a table for the terminal, or Markdown, JSON and a picture as files.

mod markdown;
mod svg;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use tulle_e2e::paths;

use crate::conditions::{Conditions, date};
use crate::targets::Role;
use crate::window::Window;

/// Everything a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) conditions: Conditions,
    /// Names, in the order of reports.
    pub(crate) targets: Vec<&'static str>,
    pub(crate) windows: Vec<Window>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) held: Vec<Held>,
    /// Windows that are left out, with the reason.
    pub(crate) faults: Vec<String>,
}

/// Sidecars that do nothing; outbound, then inbound.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    pub(crate) target: String,
    pub(crate) resident_kib_at_start: [u64; 2],
    pub(crate) resident_kib: [u64; 2],
    pub(crate) anonymous_kib: [u64; 2],
    pub(crate) cpu_ms_per_second: [f64; 2],
}

/// Sidecars with connections that rest; outbound, then inbound.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Held {
    pub(crate) target: String,
    pub(crate) connections: u32,
    pub(crate) resident_kib_before: [u64; 2],
    pub(crate) resident_kib: [u64; 2],
}

impl Held {
    /// KiB for each connection in both sidecars.
    pub(crate) fn kib_per_connection(&self) -> f64 {
        let sum = |both: [u64; 2]| both.iter().sum::<u64>() as f64;
        (sum(self.resident_kib) - sum(self.resident_kib_before)) / f64::from(self.connections)
    }
}

/// A line about what happens.
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// A line about a window.
pub(crate) fn window(window: &Window) {
    let roles = Role::ALL.map(|role| format!("{} {:.1}", role.name(), window.cpu_us(role.name()))).join(", ");
    let latency = window.seen.latency.map_or(String::new(), |latency| {
        format!(
            "  p50 {:.0} p99 {:.0} p99.9 {:.0} µs (sent late: p99 {:.0})",
            latency.p50, latency.p99, latency.p999, latency.lag_p99
        )
    });
    let closed = window.seen.closed.map_or(String::new(), |[p50, _, p99]| format!("  p50 {p50:.0} p99 {p99:.0} µs"));
    let figures = if window.scenario.ends_with("bulk") {
        let both = window.cpu_ms_per_gib(Role::Outbound.name()) + window.cpu_ms_per_gib(Role::Inbound.name());
        format!("{:>8.0} MB/s  sidecars {both:.0} ms a GiB", window.seen.bytes as f64 / 1e6 / window.seen.seconds)
    } else {
        let load = window.cpu_us("load");
        format!("{:>8.0}/s  sidecars {:>6.1} µs ({roles}, load {load:.1})", window.rate(), window.sidecars_us())
    };
    let (round, scenario, target) = (window.round + 1, window.scenario, &window.target);
    progress(&format!(
        "{round:>2} {scenario:<12} {target:<14} {figures}{latency}{closed}  others {:.2} CPUs",
        window.foreign_cpus
    ));
}

/// A line about resting connections.
pub(crate) fn held(held: &Held) {
    let [outbound, inbound] = held.resident_kib.map(|kib| kib as f64 / 1024.0);
    progress(&format!(
        "   connections  {:<14} {:>6} held: outbound {outbound:.1} MiB, inbound {inbound:.1} MiB, {:.1} KiB each",
        held.target,
        held.connections,
        held.kib_per_connection()
    ));
}

/// Prints the table, and writes the files.
pub(crate) fn write(results: &Results, report: Option<&Path>) -> Result<()> {
    let text = markdown::write(results);
    #[expect(clippy::print_stdout, reason = "the table is what was asked for")]
    {
        println!("{text}");
    }
    let json = serde_json::to_string_pretty(results).context("results that are no JSON")?;
    if let Some(file) = report {
        fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
        progress(&format!("figures: {}", file.display()));
        return Ok(());
    }
    let folder = paths::repository().join("bench/results");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |extension: &str, text: &str| {
        let file = folder.join(format!("{}.{extension}", date()));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        progress(&format!("written: {}", file.display()));
        Ok::<_, anyhow::Error>(())
    };
    write("md", &text)?;
    write("json", &json)?;
    write("svg", &svg::write(results))
}
