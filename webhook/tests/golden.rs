//! Injection by example: `golden/<case>.pod.yaml` goes in, `golden/<case>.patched.yaml` must come out.
//!
//! `UPDATE=1 cargo test -p tulle-webhook --test golden` writes the outputs anew; review them as code.

use serde_json::Value;
use std::path::{Path, PathBuf};
use tulle_webhook::inject::settings::{Settings, Sidecar};
use tulle_webhook::inject::{Decision, OptIn, Origin, decide};

/// Where a patch may write. Anything else would be a change of what the user asked for.
const WRITABLE: [&str; 7] = [
    "/spec/initContainers",
    "/spec/volumes",
    "/metadata/labels/tulle.dev~1injected",
    "/metadata/labels",
    "/metadata/annotations/tulle.dev~1injector-version",
    "/metadata/annotations/kubectl.kubernetes.io~1default-container",
    "/metadata/annotations",
];

#[test]
fn every_case_is_patched_as_written() {
    for case in cases() {
        let (decision, patched) = inject(&case.pod);
        let actual = format!("{decision}{}", to_yaml(&patched));
        let path = case.path("patched");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, actual).expect("the golden folder is writable");
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let expected: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        let same = text.starts_with(&decision) && expected == patched;
        assert!(same, "{} differs; run with UPDATE=1 and review the diff. Now:\n{actual}", path.display());
    }
}

#[test]
fn patching_twice_changes_nothing_more() {
    for case in cases() {
        let (_, once) = inject(&case.pod);
        let (_, twice) = inject(&once);
        assert_eq!(once, twice, "{}", case.name);
    }
}

#[test]
fn a_patch_writes_only_where_it_may() {
    for case in cases() {
        let Decision::Inject { patch, .. } = decision(&case.pod) else { continue };
        for operation in patch.iter() {
            let path = operation.path().to_string();
            let probe = path.starts_with("/spec/") && path.ends_with("Probe");
            let list = ["/spec/initContainers/0", "/spec/initContainers/1", "/spec/volumes/-"].contains(&path.as_str());
            assert!(probe || list || WRITABLE.contains(&path.as_str()), "{} writes {path}", case.name);
        }
    }
}

#[test]
fn what_the_user_wrote_is_still_there() {
    for case in cases() {
        let (_, patched) = inject(&case.pod);
        assert_kept("", &case.pod, &patched, &case.name);
    }
}

/// Every value of `before` is in `after`; lists may have grown at both ends, and probes may have another action.
fn assert_kept(place: &str, before: &Value, after: &Value, case: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(_)) => {
            let action = |key: &str| place.ends_with("Probe") && ["httpGet", "tcpSocket", "grpc"].contains(&key);
            for (key, value) in before.iter().filter(|(key, _)| !action(key)) {
                assert_kept(&format!("{place}/{key}"), value, &after[key], case);
            }
        }
        (Value::Array(before), Value::Array(after)) if place.ends_with("ontainers") || place.ends_with("/volumes") => {
            for value in before {
                let same = after.iter().find(|other| other["name"] == value["name"]).expect("an element of that name");
                assert_kept(&format!("{place}[]"), value, same, case);
            }
        }
        _ => assert_eq!(before, after, "{case}: {place}"),
    }
}

struct Case {
    name: String,
    folder: PathBuf,
    pod: Value,
}

impl Case {
    fn path(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}.yaml", self.name))
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = std::fs::read_dir(&folder).expect("the golden folder").filter_map(|entry| {
        let name = entry.expect("a readable entry").file_name().into_string().expect("ASCII names");
        name.strip_suffix(".pod.yaml").map(str::to_owned)
    });
    let mut cases: Vec<Case> = names
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(format!("{name}.pod.yaml"))).expect("a readable case");
            let pod = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            Case { name, folder: folder.clone(), pod }
        })
        .collect();
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(cases.len() >= 10, "the golden folder lost its cases");
    cases
}

fn decision(pod: &Value) -> Decision {
    decide(pod, "shop", Origin { opt_in: OptIn::Namespace, confined: false }, &settings())
}

fn inject(pod: &Value) -> (String, Value) {
    let mut patched = pod.clone();
    let word = match decision(pod) {
        Decision::Inject { patch, warnings } => {
            json_patch::patch(&mut patched, &patch).expect("the patch applies to the pod it was made for");
            warnings.into_iter().fold("inject\n".to_owned(), |text, warning| format!("{text}# warning: {warning}\n"))
        }
        Decision::Skip(skip) => format!("skip, {}\n", skip.as_str()),
        Decision::AlreadyInjected => "already injected\n".to_owned(),
        Decision::Refuse(refusal) => panic!("a golden case is refused: {refusal}"),
    };
    (format!("# decision: {word}"), patched)
}

fn to_yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}

fn settings() -> Settings {
    Settings {
        image: "registry.example/tulle/proxy:1.2.3".into(),
        image_pull_policy: "IfNotPresent".into(),
        system_namespace: "tulle-system".into(),
        excluded_namespaces: vec![],
        trust_domain: "cluster.local".parse().expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        issuer: "tulle-issuer.tulle-system.svc:15012".into(),
        default_mtls: tulle_core::authz::MtlsMode::Permissive,
        cluster_networks: "10.244.0.0/16,10.96.0.0/12".into(),
        tracing_endpoint: String::new(),
        defaults: Sidecar {
            resources: r#"{"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "256Mi"}}"#
                .parse()
                .expect("resources"),
            log: "info".into(),
            ..Sidecar::default()
        },
    }
}
