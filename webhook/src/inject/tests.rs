//! The decision as a table.

use super::*;
use crate::inject::settings::tests::settings;
use serde_json::json;

const BY_NAMESPACE: Origin = Origin { opt_in: OptIn::Namespace, confined: false };
const BY_POD: Origin = Origin { opt_in: OptIn::Pod, confined: false };

fn pod(label: Option<&str>) -> Value {
    let labels = label.map_or_else(|| json!({}), |value| json!({ INJECT_LABEL: value }));
    json!({"metadata": {"name": "web", "labels": labels}, "spec": {"containers": [{"name": "app"}]}})
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Inject { .. } => "inject",
        Decision::Skip(skip) => skip.as_str(),
        Decision::AlreadyInjected => "already",
        Decision::Refuse(_) => "refuse",
    }
}

#[test]
fn the_pods_own_label_wins() {
    let table = [
        (BY_NAMESPACE, None, "inject"),
        (BY_NAMESPACE, Some("enabled"), "inject"),
        (BY_NAMESPACE, Some("disabled"), "opted-out"),
        (BY_NAMESPACE, Some("yes"), "inject"),
        (BY_POD, None, "not-opted-in"),
        (BY_POD, Some("enabled"), "inject"),
        (BY_POD, Some("disabled"), "opted-out"),
        (BY_POD, Some("yes"), "not-opted-in"),
    ];
    for (origin, label, expected) in table {
        let decision = decide(&pod(label), "shop", origin, &settings());
        assert_eq!(word(&decision), expected, "{origin:?} with pod label {label:?}");
    }
}

#[test]
fn excluded_namespaces_never_get_a_sidecar() {
    for namespace in ["kube-system", "tulle-system"] {
        let decision = decide(&pod(Some("enabled")), namespace, BY_POD, &settings());
        assert_eq!(decision, Decision::Skip(Skip::ExcludedNamespace), "{namespace}");
    }
}

#[test]
fn the_injected_label_alone_is_no_proof() {
    let mut claimed = pod(None);
    claimed["metadata"]["labels"] = json!({"tulle.dev/injected": "true"});
    assert_eq!(word(&decide(&claimed, "shop", BY_NAMESPACE, &settings())), "inject");
}

#[test]
fn opting_out_is_possible_for_what_would_be_refused() {
    let mut on_host = pod(Some("disabled"));
    on_host["spec"]["hostNetwork"] = json!(true);
    assert_eq!(word(&decide(&on_host, "shop", BY_NAMESPACE, &settings())), "opted-out");
}

#[test]
fn a_bare_pod_can_be_patched() {
    let bare = json!({"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "app"}]}});
    let Decision::Inject { patch, .. } = decide(&bare, "shop", BY_NAMESPACE, &settings()) else {
        panic!("not injected")
    };
    let mut patched = bare.clone();
    json_patch::patch(&mut patched, &patch).expect("the patch applies to the pod it was made for");
    assert_eq!(patched["spec"]["initContainers"].as_array().map(Vec::len), Some(2));
    assert_eq!(patched["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "app");
}

#[test]
fn the_proxy_is_told_of_a_collector_only_where_there_is_one() {
    let told = |endpoint: &str| {
        let mut settings = settings();
        settings.tracing_endpoint = endpoint.to_owned();
        settings.defaults.tracing_sampling = Some("5".to_owned());
        let Decision::Inject { patch, .. } = decide(&pod(None), "shop", BY_NAMESPACE, &settings) else {
            panic!("not injected")
        };
        let mut patched = pod(None);
        json_patch::patch(&mut patched, &patch).expect("the patch applies to the pod it was made for");
        let proxy = patched["spec"]["initContainers"][1].clone();
        let variables = proxy["env"].as_array().cloned().unwrap_or_default();
        let tracing = |it: &&Value| it["name"].as_str().is_some_and(|name| name.starts_with("TULLE_TRACING_"));
        variables.iter().filter(tracing).map(|it| it["value"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(told("").is_empty());
    let endpoint = "http://collector.observability:4318";
    assert_eq!(told(endpoint), [Some(endpoint.to_owned()), Some("5".to_owned())]);
}
