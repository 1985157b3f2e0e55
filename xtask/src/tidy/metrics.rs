//! Metrics are an interface: what the binaries register and what `docs/metrics.md` lists are the same.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::{Tree, is_test};

/// The list for users.
const DOCUMENT: &str = "docs/metrics.md";
/// Where metrics are registered.
const SOURCES: [&str; 4] = ["operator/src/", "webhook/src/", "proxy/src/", "runtime/src/"];
/// What OpenMetrics appends to the name in the source: unit, then `_total`.
const SUFFIXES: [&str; 3] = ["_total", "_seconds", "_bytes"];

/// Metrics without a row, and rows without a metric.
pub(super) fn undocumented(tree: &Tree) -> Vec<Finding> {
    let mut registered = BTreeMap::new();
    for (path, text) in
        tree.ending(".rs").filter(|(path, _)| SOURCES.iter().any(|source| path.starts_with(source)) && !is_test(path))
    {
        registered.extend(names(text).into_iter().map(|name| (base(&name).to_owned(), path)));
    }
    let document = tree.get(DOCUMENT).unwrap_or_default();
    let rows: Vec<(usize, &str)> =
        document.lines().enumerate().filter_map(|(at, line)| Some((at + 1, row(line)?))).collect();
    let missing = registered.iter().filter(|(name, _)| rows.iter().all(|(_, row)| base(row) != name.as_str()));
    let missing =
        missing.map(|(name, path)| Finding::in_file(path, format!("metric {name} has no row in {DOCUMENT}; add it")));
    let unknown = rows.iter().filter(|(_, row)| !registered.contains_key(base(row)));
    let unknown =
        unknown.map(|(line, row)| Finding::at(DOCUMENT, *line, format!("no source registers {row}; remove the row")));
    missing.chain(unknown).collect()
}

/// The metric of a table row: "| `tulle_…` | …".
fn row(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name).filter(|name| name.starts_with("tulle_"))
}

fn base(name: &str) -> &str {
    SUFFIXES.iter().fold(name, |name, suffix| name.strip_suffix(suffix).unwrap_or(name))
}

/// The metrics a file registers, in the three ways this repository does it.
fn names(text: &str) -> Vec<String> {
    // A call may be laid out over several lines.
    let text = &text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(");
    let literals = arguments(text, "\"tulle_").map(|rest| format!("tulle_{rest}"));
    let (prefixes, mut names): (Vec<String>, Vec<String>) =
        literals.partition(|name| text.contains(&format!("sub_registry_with_prefix(\"{name}\")")));
    // A registry with a prefix: every name registered in the file is below it.
    for prefix in prefixes {
        let below = ["register(\"", "register_with_unit(\""].into_iter().flat_map(|call| arguments(text, call));
        names.extend(below.map(|name| format!("{prefix}_{name}")));
    }
    // A template with a side and a noun: `tulle_http_{}_{what}`, filled in by `name("requests")`.
    let (templates, mut names): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| name.contains('{'));
    for template in templates {
        for side in ["client", "server"] {
            let nouns = arguments(text, "name(\"");
            names.extend(nouns.map(|noun| template.replacen("{}", side, 1).replacen("{what}", noun, 1)));
        }
    }
    names
}

/// The text between `opening` and the next quote, at every place.
fn arguments<'a>(text: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(opening).skip(1).filter_map(|rest| rest.split_once('"').map(|(argument, _)| argument))
}
