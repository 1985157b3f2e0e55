//! `cargo xtask tidy`: the repository checks itself, because what is not checked drifts.
//!
//! Every check is a pure function of the [`Tree`] of files, so its table test can show that it fails. The same checks run as an
//! ordinary test of this crate.

mod arrows;
mod codes;
mod crd;
mod documents;
mod length;
mod metrics;
mod modules;
mod source;
mod tree;
mod words;

use std::fmt;

use anyhow::{Result, bail};
use tulle_e2e::paths;

use tree::Tree;

/// Folders that hold the custom resource definitions.
pub(crate) const DEFINITIONS: [&str; 2] = crd::FOLDERS;

/// A pure look at the repository.
type Check = fn(&Tree) -> Vec<Finding>;

/// The checks by their names.
const CHECKS: &[(&str, Check)] = &[
    ("modules are reachable", modules::orphans),
    ("functions and files are short", length::long),
    ("definitions are fresh", crd::stale),
    ("metrics are documented", metrics::undocumented),
    ("codes are documented", codes::undocumented),
    ("dependencies point one way", arrows::backwards),
    ("one file writes to the API server", arrows::writers),
    ("words that do not belong here", words::misplaced),
    ("links lead somewhere", documents::dead_links),
    ("decisions are numbered", documents::decisions),
];

/// Something to put right: where, what, and what next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; 0 speaks of the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }

    fn in_file(path: &str, what: impl Into<String>) -> Self {
        Self::at(path, 0, what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Checks the clone; fails when there is a finding.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(paths::repository())?;
    let mut count = 0;
    for (name, check) in CHECKS {
        let findings = check(&tree);
        eprintln!("{} {name}", if findings.is_empty() { "ok  " } else { "FAIL" });
        findings.iter().for_each(|finding| eprintln!("     {finding}"));
        count += findings.len();
    }
    if count > 0 {
        bail!("{count} things to put right");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
