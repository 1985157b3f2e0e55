//! The chart: it sets what the binary reads, and what it renders is safe.
//!
//! The tests that render need Helm: `HELM=<path of helm> cargo test -p tulle-webhook --test chart --
//! --include-ignored`.

use clap::{Args, Command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tulle_webhook::config::Config;
use tulle_webhook::serve::{DEBUG_PATH, INJECT_PATHS, VALIDATE_PATH};

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/tulle")
}

fn template(name: &str) -> String {
    let path = chart().join("templates/webhook").join(name);
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
    for path in [VALIDATE_PATH, DEBUG_PATH] {
        assert!(template("validating.yaml").contains(&format!("path: {path}\n")), "{path}");
    }
}

#[test]
fn no_configuration_renders_a_ca_bundle() {
    for name in ["mutating.yaml", "validating.yaml"] {
        assert!(!template(name).contains("caBundle:"), "{name}: the operator writes it");
    }
}

#[test]
fn the_definitions_are_those_of_the_crate() {
    for definition in tulle_crds::all() {
        let path = chart().join("crds-generated").join(tulle_crds::manifest::file_name(&definition));
        let expected = tulle_crds::render_yaml(&definition);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, expected).expect("the chart's folder is writable");
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == expected, "{} is stale; run with UPDATE=1", path.display());
    }
}

/// Helm, or its complaint.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    let mut command = std::process::Command::new(&program);
    let output =
        command.args(arguments).arg(chart()).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn rendered(values: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["template", "release", "--namespace", "mesh"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    let text = helm(&arguments).unwrap_or_else(|error| panic!("{values:?}: {error}"));
    let objects: Vec<Value> =
        serde_saphyr::from_str_multiple(&text).unwrap_or_else(|error| panic!("{values:?}: {error}"));
    objects.into_iter().filter(Value::is_object).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
#[ignore = "needs helm"]
fn lint_is_quiet_and_wrong_values_are_refused() {
    helm(&["lint", "--strict"]).unwrap_or_else(|error| panic!("{error}"));
    for value in [
        "nope=1",
        "proxy.nope=1",
        "operator.replicas=0",
        "policy.mtls=strict",
        "image.pullPolicy=Sometimes",
        "proxy.tracing.endpoint=collector:4318",
        "proxy.tracing.sampling=101",
    ] {
        assert!(helm(&["lint", "--set", value]).is_err(), "{value} was accepted");
    }
}

#[test]
#[ignore = "needs helm"]
fn rendering_twice_gives_the_same_bytes() {
    let once = helm(&["template", "release"]);
    assert_eq!(once, helm(&["template", "release"]));
}

#[test]
#[ignore = "needs helm"]
fn every_pod_is_restricted() {
    for object in rendered(&[]) {
        let pod = match object["kind"].as_str() {
            Some("Pod") => &object["spec"],
            Some("Deployment" | "Job") => &object["spec"]["template"]["spec"],
            _ => continue,
        };
        let name = &object["metadata"]["name"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in list(&pod["containers"]) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(context["capabilities"]["drop"][0], "ALL", "{name}");
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn pod_webhooks_are_closed_and_leave_the_cluster_alone() {
    let objects = rendered(&["injection.excludedNamespaces={ci}"]);
    let configuration = of_kind(&objects, "MutatingWebhookConfiguration").next().expect("one configuration");
    let webhooks = list(&configuration["webhooks"]);
    assert_eq!(webhooks.len(), INJECT_PATHS.len());
    for webhook in webhooks {
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert!(webhook["timeoutSeconds"].as_u64().is_some_and(|seconds| seconds <= 5));
        let excluded = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!((&excluded["key"], &excluded["operator"]), (&"kubernetes.io/metadata.name".into(), &"NotIn".into()));
        for namespace in ["kube-system", "kube-public", "kube-node-lease", "mesh", "ci"] {
            assert!(list(&excluded["values"]).contains(&namespace.into()), "{namespace} in {}", webhook["name"]);
        }
        // Opting in is always required: by the namespace's label or by the pod's.
        let opt_in = |selector: &str| {
            let expressions = list(&webhook[selector]["matchExpressions"]);
            expressions
                .iter()
                .any(|it| it["key"] == "tulle.dev/inject" && it["operator"] == "In" && it["values"][0] == "enabled")
        };
        assert!(opt_in("namespaceSelector") != opt_in("objectSelector"), "{}", webhook["name"]);
    }
}

#[test]
#[ignore = "needs helm"]
fn roles_hold_no_wildcards_and_proxies_only_read() {
    let objects = rendered(&[]);
    let roles: Vec<&Value> = of_kind(&objects, "ClusterRole").chain(of_kind(&objects, "Role")).collect();
    for role in &roles {
        let (name, cluster_wide) = (role["metadata"]["name"].as_str().expect("a name"), role["kind"] == "ClusterRole");
        for rule in list(&role["rules"]) {
            for field in ["verbs", "resources", "apiGroups"] {
                assert!(!list(&rule[field]).contains(&"*".into()), "{name}: {rule}");
            }
            let secrets = list(&rule["resources"]).contains(&"secrets".into());
            assert!(!(secrets && cluster_wide), "{name} reads Secrets of all namespaces");
            if name.starts_with("tulle-proxy") {
                let read_only =
                    list(&rule["verbs"]).iter().all(|verb| ["get", "list", "watch"].iter().any(|read| verb == read));
                assert!(read_only, "{name}: {rule}");
            }
        }
    }
}

#[test]
#[ignore = "needs helm"]
fn options_add_and_remove_objects() {
    let count = |values: &[&str], kind: &str| of_kind(&rendered(values), kind).count();
    let table: [(&[&str], &str, usize); 10] = [
        (&[], "NetworkPolicy", 0),
        (&["networkPolicy.enabled=true"], "NetworkPolicy", 2),
        (&[], "PodDisruptionBudget", 2),
        (&["pdb.enabled=false"], "PodDisruptionBudget", 0),
        (&[], "CustomResourceDefinition", tulle_crds::all().len()),
        (&["crds.install=false"], "CustomResourceDefinition", 0),
        (&["smi.enabled=true"], "CustomResourceDefinition", tulle_crds::all().len() + 2),
        (&["smi.enabled=true", "crds.install=false"], "CustomResourceDefinition", 0),
        (&[], "Job", 2),
        (&["uninstall.force=true"], "Job", 0),
    ];
    for (values, kind, expected) in table {
        assert_eq!(count(values, kind), expected, "{values:?} {kind}");
    }
    let kept = |values: &[&str]| {
        let objects = rendered(values);
        of_kind(&objects, "CustomResourceDefinition")
            .all(|it| it["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep")
    };
    assert!(kept(&["smi.enabled=true"]) && !kept(&["crds.keep=false"]));
}
