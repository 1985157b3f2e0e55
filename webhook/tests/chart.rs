//! The chart sets what the binary reads, and nothing else.

use clap::{Args, Command};
use std::collections::BTreeSet;
use std::path::Path;
use tulle_webhook::config::Config;
use tulle_webhook::serve::{INJECT_PATHS, VALIDATE_PATH};

fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tulle/templates/webhook").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Words of `text` that start with `prefix` and go on as names do.
fn names<'a>(text: &'a str, prefix: &'a str) -> BTreeSet<&'a str> {
    let name = |start: usize| {
        let rest = &text[start..];
        &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())]
    };
    text.match_indices(prefix).map(|(start, _)| name(start)).collect()
}

#[test]
fn the_deployment_sets_every_setting() {
    let deployment = template("deployment.yaml");
    let set = names(&deployment, "TULLE_");
    let command = Config::augment_args(Command::new("webhook"));
    let variables = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
    let mut read: BTreeSet<&str> = variables.collect();
    read.insert("TULLE_LOG"); // of the binary as a whole
    assert!(read.remove("TULLE_TLS_DIR"), "the chart mounts where the default looks");
    assert_eq!(set, read);
}

#[test]
fn the_configurations_call_paths_that_exist() {
    let mutating = template("mutating.yaml");
    assert!(mutating.contains("path: /inject/{{ $optIn }}{{ if $confined }}/confined{{ end }}"));
    for (path, origin) in INJECT_PATHS {
        let opt_in = format!("{:?}", origin.opt_in).to_lowercase();
        assert_eq!(path, format!("/inject/{opt_in}{}", if origin.confined { "/confined" } else { "" }));
        assert!(mutating.contains(&format!("{opt_in:?}")), "{opt_in} is a word of the template's loop");
    }
    assert!(template("validating.yaml").contains(&format!("path: {VALIDATE_PATH}")));
}

#[test]
fn no_configuration_renders_a_ca_bundle() {
    for name in ["mutating.yaml", "validating.yaml"] {
        assert!(!template(name).contains("caBundle:"), "{name}: the operator writes it");
    }
}
