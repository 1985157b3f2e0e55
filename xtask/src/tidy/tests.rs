//! The repository is tidy, and each check can fail: a row is a small repository and what is found in it.

use super::*;

#[test]
fn the_repository_is_tidy() {
    let tree = Tree::read(paths::repository()).expect("the clone is readable");
    let findings: Vec<String> =
        CHECKS.iter().flat_map(|(_, check)| check(&tree)).map(|finding| finding.to_string()).collect();
    assert!(findings.is_empty(), "run `cargo xtask tidy`:\n{}", findings.join("\n"));
}

/// Asserts that a check finds exactly these, each given by a part of its line.
#[track_caller]
fn found<const N: usize>(check: Check, files: [(&str, &str); N], expected: &[&str]) {
    let findings: Vec<String> = check(&Tree::from(files)).iter().map(Finding::to_string).collect();
    let fits =
        findings.len() == expected.len() && findings.iter().zip(expected).all(|(found, part)| found.contains(part));
    assert!(fits, "expected {expected:?}, found {findings:?}");
}

#[test]
fn a_module_nobody_declares_is_found() {
    let manifest = ("a/Cargo.toml", "[[test]]\npath = \"suite/main.rs\"\n");
    found(
        modules::orphans,
        [manifest, ("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "pub(crate) mod c;"), ("a/src/b/c.rs", "")],
        &[],
    );
    found(modules::orphans, [manifest, ("a/src/lib.rs", "// mod b;\n"), ("a/src/b.rs", "")], &["a/src/b.rs"]);
    found(
        modules::orphans,
        [manifest, ("a/src/lib.rs", "const S: &str = \"mod b;\";"), ("a/src/b.rs", "")],
        &["a/src/b.rs"],
    );
    found(
        modules::orphans,
        [manifest, ("a/src/lib.rs", "mod b;"), ("a/src/b.rs", ""), ("a/src/c.rs", "")],
        &["a/src/c.rs"],
    );
    found(
        modules::orphans,
        [manifest, ("a/suite/main.rs", "mod x;"), ("a/suite/x.rs", ""), ("a/suite/y.rs", "")],
        &["a/suite/y.rs"],
    );
    found(
        modules::orphans,
        [manifest, ("a/tests/one.rs", ""), ("a/tests/support/two.rs", "")],
        &["a/tests/support/two.rs"],
    );
    let elsewhere = ("a/tests/one.rs", "#[path = \"support/two.rs\"]\nmod two;");
    found(modules::orphans, [manifest, elsewhere, ("a/tests/support/two.rs", "")], &[]);
}

#[test]
fn long_functions_and_files_are_found() {
    let body = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    found(length::long, [("a.rs", &body(70))], &[]);
    found(length::long, [("a.rs", &format!("//\n{}", body(71)))], &["a.rs:2: fn f has 71 lines"]);
    // Braces in literals and comments do not end a function.
    let tricky = body(71).replacen("g();", "let _ = ('}', \"}\\\"}\", r#\"}\"}\"#, b'\\''); // }", 1);
    found(length::long, [("a.rs", &tricky)], &["fn f has 71 lines"]);
    found(length::long, [("a.rs", &"//\n".repeat(501))], &["501 lines"]);
    found(length::long, [("a/tests.rs", &"//\n".repeat(501))], &[]);
    found(length::long, [("a.rs", &format!("mod tests {{\n{}}}\n", "//\n".repeat(501)))], &[]);
}

#[test]
fn a_definition_that_drifted_is_found() {
    let rendered = [("a.yaml".to_owned(), "kind: A\n".to_owned())];
    let both = |one: &str, other: &str| {
        crd::differing(&Tree::from([("crds/a.yaml", one), ("charts/tulle/crds-generated/a.yaml", other)]), &rendered)
    };
    assert!(both("kind: A\n", "kind: A\n").is_empty());
    assert_eq!(both("kind: B\n", "kind: A\n").len(), 1);
    assert_eq!(both("kind: A\n", "kind: A").len(), 1);
    assert_eq!(
        crd::differing(&Tree::from([("crds/b.yaml", "")]), &rendered).len(),
        3,
        "two are missing, one has no type"
    );
    assert_eq!(crd::stale(&Tree::default()).len(), 2 * tulle_crds::all().len());
}

#[test]
fn a_metric_and_its_row_go_together() {
    let check = metrics::undocumented;
    let plain = ("proxy/src/m.rs", "counter(\"tulle_open\")");
    found(check, [plain, ("docs/metrics.md", "| `tulle_open_total` | counter |\n")], &[]);
    found(
        check,
        [plain, ("docs/metrics.md", "tulle_open is mentioned in passing\n")],
        &["metric tulle_open has no row"],
    );
    found(check, [("docs/metrics.md", "| `tulle_gone` | gauge |\n")], &["no source registers tulle_gone"]);
    let prefixed = (
        "operator/src/m.rs",
        "sub_registry_with_prefix(\"tulle_operator\"); r.register_with_unit(\"wait\", h, Unit::Seconds, m);",
    );
    found(check, [prefixed, ("docs/metrics.md", "| `tulle_operator_wait_seconds` |\n")], &[]);
    found(check, [prefixed], &["tulle_operator_wait"]);
    let template = ("proxy/src/m.rs", "let name = |what| format!(\"tulle_http_{}_{what}\", side); name(\"requests\")");
    found(check, [template], &["tulle_http_client_requests", "tulle_http_server_requests"]);
    found(check, [("proxy/src/m/tests.rs", "\"tulle_fake\""), ("e2e/src/a.rs", "\"tulle_fake\"")], &[]);
}

#[test]
fn the_catalogue_of_codes_is_complete() {
    let missing = codes::undocumented(&Tree::default());
    assert!(missing.iter().any(|finding| finding.what.contains("| `TUL2001` |")), "{missing:?}");
    let invented = codes::undocumented(&Tree::from([("docs/errors.md", "| `TUL9999` | never | nothing |\n")]));
    assert!(invented.iter().any(|finding| finding.line == 1), "{invented:?}");
}

#[test]
fn an_arrow_that_points_back_is_found() {
    let check = arrows::backwards;
    found(
        check,
        [("core/Cargo.toml", "[dependencies]\nserde.workspace = true\n[dev-dependencies]\ntokio.workspace = true\n")],
        &[],
    );
    found(
        check,
        [("core/Cargo.toml", "[dependencies]\ntokio = { workspace = true }\n")],
        &["core/Cargo.toml:2: must not depend on tokio"],
    );
    found(check, [("proxy/Cargo.toml", "[dependencies]\ntulle-operator.workspace = true\n")], &["tulle-operator"]);
    found(
        check,
        [("proxy/Cargo.toml", "[target.'cfg(unix)'.dependencies]\ntulle-webhook.workspace = true\n")],
        &["tulle-webhook"],
    );
    found(check, [("new/Cargo.toml", "")], &["a crate without a rule"]);
    let lock = "[[package]]\nname = \"tulle-core\"\ndependencies = [\n \"a 1.0.0\",\n]\n\n[[package]]\nname = \"a\"\ndependencies = [\n \"tokio\",\n]\n";
    found(check, [("Cargo.lock", lock)], &["reaches tokio"]);
}

#[test]
fn a_second_writer_is_found() {
    let writing = "api.patch(name, &PatchParams::apply(\"x\"), &patch)";
    found(arrows::writers, [("operator/src/apply.rs", writing)], &[]);
    found(arrows::writers, [("operator/src/run.rs", writing)], &["operator/src/run.rs:1"]);
    found(arrows::writers, [("operator/src/run.rs", "// PatchParams")], &[]);
}

#[test]
fn misplaced_words_are_found() {
    for word in [concat!("TO", "DO"), concat!("/wo", "rk/main"), concat!("/ro", "ot/.cache")] {
        found(words::misplaced, [("a.sh", &format!("first\nsecond {word}\n"))], &["a.sh:2"]);
    }
    found(words::misplaced, [("a.md", "the rest of the work is done at the root")], &[]);
}

#[test]
fn dead_links_are_found() {
    let document = |text| [("docs/a.md", text), ("b/c.md", "")];
    found(
        documents::dead_links,
        document("[c](../b/c.md#part) [b](../b/) [web](https://example.com) [here](#part)"),
        &[],
    );
    found(documents::dead_links, document("\n[d](../b/d.md)"), &["docs/a.md:2: ../b/d.md"]);
    found(documents::dead_links, document("[out](../../c.md)"), &["../../c.md"]);
}

#[test]
fn decisions_are_counted() {
    let good = "# 0001. One\n\nStatus: accepted\n";
    found(documents::decisions, [("docs/adr/0001-one.md", good)], &[]);
    found(documents::decisions, [("docs/adr/0002-one.md", good)], &["should begin with 0001-"]);
    found(documents::decisions, [("docs/adr/0001-one.md", "# One\n\nStatus: accepted\n")], &["heading"]);
    found(documents::decisions, [("docs/adr/0001-one.md", "# 0001. One\n")], &["no line `Status"]);
}

/// Braces and parentheses of what the compiler accepts are balanced; where they are not, a literal was misread.
#[test]
fn every_file_is_read_to_its_end() {
    let tree = Tree::read(paths::repository()).expect("the clone is readable");
    for (path, text) in tree.ending(".rs") {
        let code = source::code(text);
        assert_eq!(code.lines().count(), text.lines().count(), "lines of {path}");
        for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
            assert_eq!(code.matches(open).count(), code.matches(close).count(), "{open}{close} in {path}");
        }
    }
}
