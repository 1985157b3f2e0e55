//! Dependencies point one way, and one file of the operator writes to the API server.

use std::collections::BTreeSet;

use super::Finding;
use super::source::code;
use super::tree::{Tree, is_test};

/// What a crate may use of ours, and what it must not name at all.
struct Rule {
    manifest: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const BINARY: &[&str] = &["tulle-core", "tulle-crds", "tulle-runtime"];
const PROXY: &[&str] = &["tulle-core", "tulle-crds", "tulle-runtime", "tulle-copy"];
/// What awaits or speaks to a network.
const ASYNC: &[&str] = &["tokio", "tokio-util", "futures-util", "hyper", "hyper-util", "h2", "axum", "tower"];

const RULES: &[Rule] = &[
    Rule { manifest: "core/Cargo.toml", ours: &[], never: ASYNC },
    Rule { manifest: "crds/Cargo.toml", ours: &["tulle-core"], never: ASYNC },
    Rule { manifest: "runtime/Cargo.toml", ours: &[], never: &["kube", "k8s-openapi"] },
    Rule { manifest: "operator/Cargo.toml", ours: BINARY, never: &[] },
    Rule { manifest: "webhook/Cargo.toml", ours: BINARY, never: &[] },
    Rule { manifest: "copy/Cargo.toml", ours: &[], never: ASYNC },
    Rule { manifest: "proxy/Cargo.toml", ours: PROXY, never: &[] },
    // Tests see the binaries as their users do: as images and files.
    Rule { manifest: "e2e/Cargo.toml", ours: &["tulle-core"], never: &["kube"] },
    Rule { manifest: "e2e/app/Cargo.toml", ours: &[], never: &["kube"] },
    Rule { manifest: "e2e/conformance/Cargo.toml", ours: &["tulle-core", "tulle-e2e"], never: &["kube"] },
    Rule { manifest: "bench/Cargo.toml", ours: &["tulle-core", "tulle-e2e"], never: &["kube"] },
    // The one program that is built from the proxy's code beside the proxy: it counts what a request costs.
    Rule { manifest: "bench/guard/Cargo.toml", ours: &["tulle-proxy"], never: &["kube"] },
    // And the programs that feed its parsers.
    Rule { manifest: "fuzz/Cargo.toml", ours: &["tulle-core", "tulle-crds", "tulle-proxy"], never: ASYNC },
    Rule { manifest: "xtask/Cargo.toml", ours: &["tulle-bench", "tulle-core", "tulle-crds", "tulle-e2e"], never: &[] },
];

/// What `core` must not reach, however far down.
const FAR_FROM_CORE: [&str; 3] = ["tokio", "kube", "hyper"];

/// Manifests whose arrows point back or sideways.
pub(super) fn backwards(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (manifest, text) in tree.ending("/Cargo.toml") {
        let Some(rule) = RULES.iter().find(|rule| rule.manifest == manifest) else {
            findings.push(Finding::in_file(
                manifest,
                "a crate without a rule; add it to RULES in xtask/src/tidy/arrows.rs",
            ));
            continue;
        };
        for (line, name) in dependencies(text) {
            let is_ours = name.starts_with("tulle-");
            if is_ours && !rule.ours.contains(&name) || rule.never.contains(&name) {
                findings.push(Finding::at(manifest, line, format!("must not depend on {name}; move what needs it")));
            }
        }
    }
    let lock = tree.get("Cargo.lock").unwrap_or_default();
    let reached = closure(lock, "tulle-core");
    let far = FAR_FROM_CORE.iter().filter(|name| reached.contains(**name));
    findings.extend(
        far.map(|name| Finding::in_file("core/Cargo.toml", format!("reaches {name} through its dependencies"))),
    );
    findings
}

/// Names below `[dependencies]`, dev-dependencies aside, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut section = "";
    let mut names = Vec::new();
    for (at, line) in manifest.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if section.ends_with("dependencies") && !section.ends_with("dev-dependencies") {
            let name: &str = line.split(['.', ' ', '=']).next().unwrap_or_default();
            names.extend((!name.is_empty() && !name.starts_with('#')).then_some((at + 1, name)));
        }
    }
    names
}

/// All packages that `start` leads to in a Cargo.lock.
fn closure<'a>(lock: &'a str, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        if !reached.insert(name) {
            continue;
        }
        let header = format!("name = \"{name}\"\n");
        for package in lock.split("[[package]]\n").filter(|package| package.starts_with(&header)) {
            let names = package.split_once("dependencies = [").map_or("", |(_, names)| names);
            // An entry is `name`, or `name version` where there are several.
            open.extend(names.lines().filter_map(|line| line.trim().trim_matches([',', '"']).split(' ').next()));
        }
    }
    reached
}

/// Types without which none of kube's writing calls can be made.
const WRITING: [&str; 4] = ["PostParams", "PatchParams", "DeleteParams", "EvictParams"];
/// Who may write, with the reason.
const WRITERS: [&str; 2] = [
    "operator/src/apply.rs",        // the one writer
    "operator/src/issuer/token.rs", // a TokenReview is a question: the API server stores nothing of it
];

/// Files of the operator that write and are not the one that may.
pub(super) fn writers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = tree.ending(".rs").filter(|(path, _)| path.starts_with("operator/src/") && !is_test(path));
    for (path, text) in sources.filter(|(path, _)| !WRITERS.contains(path)) {
        let code = code(text);
        let lines = code.lines().enumerate().filter(|(_, line)| WRITING.iter().any(|word| line.contains(word)));
        findings.extend(
            lines.map(|(at, _)| Finding::at(path, at + 1, "writes to the API server; only operator/src/apply.rs does")),
        );
    }
    findings
}
