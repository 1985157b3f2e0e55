//! Documents: links between files resolve, and decisions are numbered without gaps.

use super::Finding;
use super::tree::{Tree, beside};

/// Where decisions live.
const DECISIONS: &str = "docs/adr/";
/// States of a decision (Nygard's form).
const STATES: [&str; 3] = ["Status: accepted", "Status: proposed", "Status: superseded by "];

/// Relative links to files that do not exist.
pub(super) fn dead_links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (at, line) in text.lines().enumerate() {
            for target in targets(line).filter(|target| !resolves(tree, path, target)) {
                findings.push(Finding::at(path, at + 1, format!("{target} does not exist; correct the link")));
            }
        }
    }
    findings
}

/// Targets of the inline links of a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

fn resolves(tree: &Tree, document: &str, target: &str) -> bool {
    let file = target.split('#').next().unwrap_or_default();
    let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
    elsewhere || beside(document, file).is_some_and(|path| tree.contains(&path))
}

/// Decisions: `NNNN-title.md` counted from 0001, each with its number as heading and a state.
pub(super) fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = tree.ending(".md").filter_map(|(path, text)| Some((path, path.strip_prefix(DECISIONS)?, text)));
    for (number, (path, name, text)) in (1..).zip(files) {
        if !name.starts_with(&format!("{number:04}-")) {
            findings.push(Finding::in_file(
                path,
                format!("should begin with {number:04}-; decisions are counted without gaps"),
            ));
        }
        if !text.starts_with(&format!("# {number:04}. ")) {
            findings.push(Finding::at(path, 1, format!("the heading should begin with `# {number:04}. `")));
        }
        if !text.lines().any(|line| STATES.iter().any(|state| line.starts_with(state))) {
            findings.push(Finding::in_file(path, "has no line `Status: accepted`, `proposed` or `superseded by NNNN`"));
        }
    }
    findings
}
