//! Rust files that no `mod` declares: the compiler never sees them, so their tests never run.

use std::collections::BTreeSet;

use super::Finding;
use super::source::code;
use super::tree::{Tree, beside};

/// Rust files that are reached from no target of their crate.
pub(super) fn orphans(tree: &Tree) -> Vec<Finding> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<(String, bool)> = roots(tree).into_iter().map(|root| (root, true)).collect();
    while let Some((path, is_root)) = open.pop() {
        let Some(text) = tree.get(&path) else { continue };
        if reached.insert(path.clone()) {
            let found = declared(text).into_iter().flat_map(|name| candidates(&path, is_root, &name));
            let elsewhere =
                text.lines().filter_map(|line| beside(&path, line.strip_prefix("#[path = \"")?.strip_suffix("\"]")?));
            open.extend(found.chain(elsewhere).map(|path| (path, false)));
        }
    }
    let orphans = tree.ending(".rs").filter(|(path, _)| !reached.contains(*path));
    orphans
        .map(|(path, _)| Finding::in_file(path, "no `mod` declares it, so it is not compiled; declare or delete it"))
        .collect()
}

/// Roots of targets: those Cargo finds by itself, and those a manifest names.
fn roots(tree: &Tree) -> Vec<String> {
    let mut roots = Vec::new();
    for (manifest, text) in tree.ending("Cargo.toml") {
        let folder = manifest.trim_end_matches("Cargo.toml");
        let named = text.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
        roots.extend(named.chain(["src/lib.rs", "src/main.rs", "build.rs"]).map(|path| format!("{folder}{path}")));
        for (path, _) in tree.ending(".rs") {
            let found = ["src/bin/", "tests/", "benches/", "examples/"].iter().any(|auto| {
                path.strip_prefix(folder).and_then(|inside| inside.strip_prefix(auto)).is_some_and(|name| {
                    !name.contains('/') || name.ends_with("/main.rs") && name.matches('/').count() == 1
                })
            });
            roots.extend(found.then(|| path.to_owned()));
        }
    }
    roots
}

/// Names in `mod name;`.
fn declared(text: &str) -> Vec<String> {
    let code = code(text);
    let statements = code.split([';', '{', '}']).filter_map(|statement| statement.trim_end().rsplit_once("mod "));
    let named = statements.filter(|(before, _)| before.is_empty() || before.ends_with([' ', '\n', ')']));
    named.map(|(_, name)| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Where a module may live: beside a root, in the folder named after any other file (Rust reference, "Module source filenames").
fn candidates(path: &str, is_root: bool, name: &str) -> [String; 2] {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let base = if is_root || file == "mod.rs" { folder.to_owned() } else { path.trim_end_matches(".rs").to_owned() };
    [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")]
}
