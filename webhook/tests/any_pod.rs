//! Properties that hold for every pod, also for those nobody would write.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tulle_webhook::inject::settings::{Settings, Sidecar};
use tulle_webhook::inject::{Decision, OptIn, Origin, decide};

const ORIGIN: Origin = Origin { opt_in: OptIn::Namespace, confined: false };

/// Any JSON, three levels deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        let map = prop::collection::btree_map(word(), inner, 0..4);
        prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))]
    })
}

/// Field names the injector looks at, so that strange values stand where it looks.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "name",
        "labels",
        "annotations",
        "containers",
        "initContainers",
        "volumes",
        "livenessProbe",
        "httpGet",
        "tcpSocket",
        "grpc",
        "port",
        "ports",
        "containerPort",
        "securityContext",
        "runAsUser",
        "resources",
        "restartPolicy",
        "metadata",
        "spec",
        "ownerReferences",
        "proxy.tulle.dev/workers",
        "tulle.dev/inject",
        "host",
        "os",
        "timeoutSeconds",
        "httpHeaders",
    ];
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

/// A pod with something strange in it.
fn pod() -> impl Strategy<Value = Value> {
    let containers = || prop::collection::vec(anything(), 0..3);
    (anything(), anything(), containers(), containers(), anything()).prop_map(
        |(labels, owners, init, containers, rest)| {
            let mut spec = json!({"containers": containers, "initContainers": init});
            if let (Some(spec), Value::Object(rest)) = (spec.as_object_mut(), rest) {
                rest.into_iter().for_each(|(key, value)| {
                    spec.entry(key).or_insert(value);
                });
            }
            json!({"metadata": {"name": "web", "labels": labels, "ownerReferences": owners}, "spec": spec})
        },
    )
}

fn settings() -> Settings {
    Settings {
        image: "proxy:1".into(),
        image_pull_policy: "IfNotPresent".into(),
        system_namespace: "tulle-system".into(),
        excluded_namespaces: vec![],
        trust_domain: "cluster.local".parse().expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        issuer: "issuer:15012".into(),
        default_mtls: tulle_core::authz::MtlsMode::Strict,
        cluster_networks: String::new(),
        tracing_endpoint: String::new(),
        defaults: Sidecar::default(),
    }
}

proptest! {
    /// Whatever is sent, there is an answer.
    #[test]
    fn any_json_gets_an_answer(object in anything()) {
        decide(&object, "shop", ORIGIN, &settings());
    }

    /// A patch applies to the pod it was made for, keeps its containers, and is not needed twice.
    #[test]
    fn a_patch_applies_once(pod in pod()) {
        if let Decision::Inject { patch, .. } = decide(&pod, "shop", ORIGIN, &settings()) {
            let mut patched = pod.clone();
            prop_assert!(json_patch::patch(&mut patched, &patch).is_ok(), "{patch} does not apply to {pod}");
            let count = |pod: &Value| pod["spec"]["containers"].as_array().map(Vec::len);
            prop_assert_eq!(count(&pod), count(&patched));
            prop_assert_eq!(decide(&patched, "shop", ORIGIN, &settings()), Decision::AlreadyInjected);
        }
    }
}
