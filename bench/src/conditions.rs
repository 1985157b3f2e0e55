//! (shell) Under which conditions was measured: machine, kernel, versions, date.

use std::fs;
use std::time::Duration;

use time::OffsetDateTime;

use crate::run::Choice;
use crate::site::Placement;
use crate::targets::TUNABLES;
use crate::tools::Tools;

/// What a reader needs to judge figures, in order.
pub(crate) type Conditions = Vec<(String, String)>;

/// Reads them.
pub(crate) fn read(choice: &Choice, placement: &Placement, tools: &Tools, took: Duration) -> Conditions {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpus = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut conditions = vec![
        ("date".to_owned(), date()),
        (
            "machine".to_owned(),
            format!("{}, {} GiB", processor(&line("/proc/cpuinfo")), memory_gib(&line("/proc/meminfo"))),
        ),
        ("kernel".to_owned(), line("/proc/sys/kernel/osrelease")),
        ("CPUs of node A (load, outbound)".to_owned(), cpus(&placement.a)),
        ("CPUs of node B (inbound, server)".to_owned(), cpus(&placement.b)),
        (
            "rounds".to_owned(),
            format!("{}{}", choice.rounds, if choice.quick { ", quick: too short for fine differences" } else { "" }),
        ),
        (
            "TLS".to_owned(),
            "1.3, both sides verified, ECDSA P-256, X25519, TLS_AES_128_GCM_SHA256, no resumption".to_owned(),
        ),
        (TUNABLES.0.to_owned(), TUNABLES.1.to_owned()),
        ("Tulle".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("took".to_owned(), format!("{} min", took.as_secs().div_ceil(60))),
    ];
    conditions.extend(tools.versions().into_iter().map(|(name, version)| (name.to_owned(), version)));
    conditions
}

/// Today in UTC.
pub(crate) fn date() -> String {
    let now = OffsetDateTime::now_utc();
    format!("{:04}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day())
}

fn processor(cpuinfo: &str) -> String {
    let models = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let models: Vec<&str> = models.map(|(_, name)| name.trim()).collect();
    format!("{} × {}", models.len(), models.first().copied().unwrap_or("an unknown processor"))
}

fn memory_gib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = total.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or_default();
    kib.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_and_memory_are_counted() {
        assert_eq!(processor("processor: 0\nmodel name\t: EPYC\nprocessor: 1\nmodel name\t: EPYC\n"), "2 × EPYC");
        assert_eq!(memory_gib("MemTotal:       24623456 kB\nMemFree: 1 kB\n"), 24);
    }
}
