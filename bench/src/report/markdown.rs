//! (pure) Results as Markdown tables: medians with their range, and ratios to Tulle.

use std::fmt::Write;

use crate::figures::{self, Better, Figure};
use crate::scenarios::SCENARIOS;
use crate::stats::Spread;

use super::Results;

/// What others are divided by, in scenarios of requests and of bytes: the first that was measured.
const BASES: [&str; 2] = ["tulle", "tulle-tcp"];
/// Scenario, title of its figure, and what it is called at a glance.
const GLANCE: &[(&str, &str, &str)] = &[
    ("rate-1000", "CPU of both sidecars, µs a request", "CPU a request at 1,000/s, µs"),
    ("rate-4000", "CPU of both sidecars, µs a request", "CPU a request at 4,000/s, µs"),
    ("rate-4000", "p50, µs", "p50 at 4,000/s, µs"),
    ("rate-4000", "p99, µs", "p99 at 4,000/s, µs"),
    ("max", "a second", "requests a second at most"),
    ("max", "CPU of both sidecars, µs each", "CPU a request then, µs"),
    ("close", "CPU of both sidecars, µs each", "CPU a request on a new connection, µs"),
    ("handshake", "CPU of both sidecars, µs each", "CPU a handshake, µs"),
    ("h2", "CPU of both sidecars, µs each", "CPU an HTTP/2 request, µs"),
    ("grpc-unary", "CPU of both sidecars, µs each", "CPU a gRPC call, µs"),
    ("grpc-stream", "CPU of both sidecars, µs each", "CPU a streamed message, µs"),
    ("bulk", "CPU of both sidecars, ms a GiB", "CPU a GiB of HTTP, ms"),
    ("tcp-bulk", "CPU of both sidecars, ms a GiB", "CPU a GiB of bytes, ms"),
];
/// Cells that are not what they seem, or not there at all.
const NOTES: &[(&str, &str)] = &[
    ("h2", "nginx speaks HTTP/2 to another server for gRPC only (`grpc_pass`)."),
    (
        "handshake",
        "Tulle always pools behind an HTTP port, so its requests go through a port of bytes here: compare it with the \
     targets that carry bytes. The others handle each request as HTTP. `tulle-hybrid` has the shipped key exchange, \
     X25519MLKEM768, which no other target has.",
    ),
    ("bulk", "The server sends its file with `sendfile`."),
    (
        "grpc-stream-max",
        "A sidecar may join small DATA frames into larger ones; what is counted is messages all the same.",
    ),
];

/// The whole report.
pub(super) fn write(results: &Results) -> String {
    let mut text =
        String::from("# Sidecars side by side\n\nHow to read this: `bench/README.md`.\n\n| | |\n|---|---|\n");
    for (name, value) in &results.conditions {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    if let Some(speed) = Spread::of(results.windows.iter().map(|window| window.speed)) {
        let _ = writeln!(
            text,
            "| speed of a fixed loop | {} steps a µs (median; {} to {}) |",
            short(speed.median),
            short(speed.min),
            short(speed.max)
        );
    }
    glance(&mut text, results);
    let names = SCENARIOS.iter().map(|scenario| (scenario.name, scenario.about));
    let workers = [
        ("workers-1", "as max, but nothing is pinned; 1 thread in each sidecar"),
        ("workers-2", "the same with 2 threads in each sidecar"),
    ];
    for (name, about) in names.chain(workers) {
        scenario(&mut text, results, name, about);
    }
    idle(&mut text, results);
    held(&mut text, results);
    if !results.faults.is_empty() {
        let _ = writeln!(text, "\n## Left out, for wrong answers or for none\n- {}", results.faults.join("\n- "));
    }
    text
}

/// Medians of what most people ask for first.
fn glance(text: &mut String, results: &Results) {
    let _ = writeln!(
        text,
        "\n## At a glance\n\n| median | {} |\n|---|{}",
        results.targets.join(" | "),
        "--:|".repeat(results.targets.len())
    );
    for (name, title, label) in GLANCE {
        let Some(figure) = figures::of_scenario(name).iter().find(|figure| figure.title == *title) else { continue };
        row(text, label, &results.targets, |target| {
            figures::spread(&results.windows, name, target, figure).map(|spread| short(spread.median))
        });
    }
    row(text, "RSS of both, idle, MiB", &results.targets, |target| {
        let idle = results.idle.iter().find(|idle| idle.target == target)?;
        Some(short(idle.resident_kib.iter().sum::<u64>() as f64 / 1024.0))
    });
    row(text, "memory for each resting connection, KiB", &results.targets, |target| {
        results.held.iter().rfind(|held| held.target == target).map(|held| short(held.kib_per_connection()))
    });
}

fn scenario(text: &mut String, results: &Results, name: &str, about: &str) {
    let measured = |target: &&&'static str| figures::windows(&results.windows, name, target).next().is_some();
    let targets: Vec<&str> = results.targets.iter().filter(measured).copied().collect();
    if targets.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {name}\n{}.\n", capital(about));
    let _ = writeln!(
        text,
        "| median (least to greatest) | {} |\n|---|{}",
        targets.join(" | "),
        "--:|".repeat(targets.len())
    );
    for figure in figures::of_scenario(name) {
        row(text, figure.title, &targets, |target| {
            figures::spread(&results.windows, name, target, figure).map(|spread| range(&spread))
        });
    }
    if let Some(base) = BASES.into_iter().find(|base| targets.contains(base)).filter(|_| targets.len() > 1) {
        let _ = writeln!(
            text,
            "\n| ratio to {base} in the same round | {} |\n|---|{}",
            targets.join(" | "),
            "--:|".repeat(targets.len())
        );
        for figure in figures::of_scenario(name).iter().filter(|figure| figure.better != Better::Neither) {
            row(text, &ratio_title(figure), &targets, |target| {
                let ratio = figures::ratio(&results.windows, name, target, base, figure).filter(|_| target != base)?;
                Some(format!("{:.2} / **{:.2}** / {:.2}", ratio.min, ratio.median, ratio.max))
            });
        }
    }
    for (_, note) in NOTES.iter().filter(|(scenario, _)| *scenario == name) {
        let _ = writeln!(text, "\n{note}");
    }
}

fn ratio_title(figure: &Figure) -> String {
    let better =
        if figure.better == Better::Higher { "above 1 is better than Tulle" } else { "above 1 is worse than Tulle" };
    format!("{} ({better})", figure.title)
}

/// A row, unless no target has a cell in it.
fn row(text: &mut String, title: &str, targets: &[&str], cell: impl Fn(&str) -> Option<String>) {
    let cells: Vec<Option<String>> = targets.iter().map(|target| cell(target)).collect();
    if cells.iter().any(Option::is_some) {
        let cells: Vec<String> = cells.into_iter().map(Option::unwrap_or_default).collect();
        let _ = writeln!(text, "| {title} | {} |", cells.join(" | "));
    }
}

fn idle(text: &mut String, results: &Results) {
    if results.idle.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n## idle\nSidecars that have answered a few requests and then do nothing for 5 s; outbound / inbound.\n\n\
         | target | RSS at first, MiB | RSS after 5 s, MiB | of it heap and stacks, MiB | CPU, ms a second |\n|---|--:|--:|--:|--:|"
    );
    let mib = |both: [u64; 2]| both.map(|kib| format!("{:.1}", kib as f64 / 1024.0)).join(" / ");
    for idle in &results.idle {
        let cpu = idle.cpu_ms_per_second.map(|ms| format!("{ms:.2}")).join(" / ");
        let (first, after, heap) = (mib(idle.resident_kib_at_start), mib(idle.resident_kib), mib(idle.anonymous_kib));
        let _ = writeln!(text, "| {} | {first} | {after} | {heap} | {cpu} |", idle.target);
    }
}

fn held(text: &mut String, results: &Results) {
    if results.held.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n## connections\nConnections of the application that made one request each and then rest, in sidecars that have done \
         nothing else; outbound / inbound.\n\n\
         | target | connections | RSS, MiB | KiB for each connection, both |\n|---|--:|--:|--:|"
    );
    for held in &results.held {
        let rss = held.resident_kib.map(|kib| format!("{:.1}", kib as f64 / 1024.0)).join(" / ");
        let _ = writeln!(text, "| {} | {} | {rss} | {:.1} |", held.target, held.connections, held.kib_per_connection());
    }
}

fn range(spread: &Spread) -> String {
    if spread.min.total_cmp(&spread.max).is_eq() {
        return short(spread.median);
    }
    format!("{} ({} to {})", short(spread.median), short(spread.min), short(spread.max))
}

/// Three digits that mean something.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_with_the_digits_they_have() {
        assert_eq!(
            (short(12345.6), short(45.26), short(1.234), short(0.0)),
            ("12346".into(), "45.3".into(), "1.23".into(), "0.00".into())
        );
        assert_eq!(range(&Spread { min: 1.0, median: 2.0, max: 30.0 }), "2.00 (1.00 to 30.0)");
        assert_eq!(range(&Spread { min: 2.0, median: 2.0, max: 2.0 }), "2.00");
    }

    #[test]
    fn a_glance_names_figures_that_exist() {
        for (scenario, title, _) in GLANCE {
            assert!(figures::of_scenario(scenario).iter().any(|figure| figure.title == *title), "{scenario} {title}");
        }
    }

    #[test]
    fn a_row_without_cells_is_left_out() {
        let mut text = String::new();
        row(&mut text, "p50", &["a", "b"], |_| None);
        row(&mut text, "p99", &["a", "b"], |target| (target == "b").then(|| "7".to_owned()));
        assert_eq!(text, "| p99 |  | 7 |\n");
    }
}
