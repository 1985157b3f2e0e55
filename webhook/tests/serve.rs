//! The interface as the API server uses it: a review per path, in and out as JSON.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;
use tulle_webhook::config::Config;
use tulle_webhook::metrics::Metrics;
use tulle_webhook::serve::routes;

/// Settings as the chart gives them, from arguments.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

fn webhook() -> (Router, Registry) {
    let arguments =
        ["test", "--proxy-image", "proxy:1", "--issuer", "issuer:15012", "--excluded-namespaces", "kube-system,a"];
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (routes(Arguments::parse_from(arguments).config, metrics), registry)
}

fn review(namespace: &str, object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "7c9d", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace, "operation": "CREATE", "object": object, "oldObject": null, "fieldOfTheFuture": 1,
        },
    })
}

fn pod(label: Option<&str>) -> Value {
    let labels = label.map_or_else(|| json!({}), |value| json!({"tulle.dev/inject": value}));
    json!({"metadata": {"name": "web", "labels": labels}, "spec": {"containers": [{"name": "app"}]}})
}

async fn post(webhook: &Router, path: &str, body: String) -> (StatusCode, Value) {
    let request =
        Request::post(path).header("content-type", "application/json").body(Body::from(body)).expect("a request");
    let response = webhook.clone().oneshot(request).await.expect("routers do not fail");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// `patched`, `unchanged`, or the code of a refusal.
fn verdict(answer: &Value) -> String {
    let response = &answer["response"];
    assert_eq!(response["uid"], "7c9d", "the answer belongs to the question");
    match (response["allowed"].as_bool(), response["patch"].as_str()) {
        (Some(true), Some(_)) => "patched".into(),
        (Some(true), None) => "unchanged".into(),
        _ => response["status"]["message"].as_str().expect("a refusal has a sentence")[..7].into(),
    }
}

#[tokio::test]
async fn each_path_knows_why_it_was_called() {
    let (webhook, _) = webhook();
    let table = [
        ("/inject/namespace", "shop", None, "patched"),
        ("/inject/namespace", "shop", Some("disabled"), "unchanged"),
        ("/inject/namespace", "kube-system", None, "unchanged"),
        ("/inject/namespace/confined", "shop", None, "TUL1103"),
        ("/inject/namespace/confined", "shop", Some("disabled"), "unchanged"),
        ("/inject/pod", "shop", Some("enabled"), "patched"),
        ("/inject/pod", "shop", None, "unchanged"),
        ("/inject/pod", "tulle-system", Some("enabled"), "unchanged"),
        ("/inject/pod/confined", "shop", Some("enabled"), "TUL1103"),
    ];
    for (path, namespace, label, expected) in table {
        let (status, answer) = post(&webhook, path, review(namespace, &pod(label)).to_string()).await;
        assert_eq!(
            (status, verdict(&answer).as_str()),
            (StatusCode::OK, expected),
            "{path} in {namespace}, pod {label:?}"
        );
    }
}

#[tokio::test]
async fn the_patch_applies_to_the_pod_that_was_sent() {
    let (webhook, _) = webhook();
    let mut patched = pod(None);
    let (_, answer) = post(&webhook, "/inject/namespace", review("shop", &patched).to_string()).await;
    let bytes = STANDARD.decode(answer["response"]["patch"].as_str().expect("a patch")).expect("base64");
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).expect("a JSON patch");
    json_patch::patch(&mut patched, &patch).expect("it applies");
    assert_eq!(patched["metadata"]["labels"]["tulle.dev/injected"], "true");
    assert_eq!(patched["spec"]["initContainers"][1]["image"], "proxy:1");
}

#[tokio::test]
async fn objects_are_judged_with_the_sentence_of_their_status() {
    let (webhook, _) = webhook();
    let split = |weight: i64| {
        json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "TrafficSplit", "metadata": {"name": "checkout", "namespace": "shop"},
            "spec": {"service": "checkout", "backends": [{"service": "checkout-v1", "weight": weight}]},
        })
    };
    let about = |object: &Value, old: &Value| {
        let mut review = review("shop", object);
        review["request"]["kind"] = json!({"group": "tulle.dev", "version": "v1alpha1", "kind": "TrafficSplit"});
        review["request"]["oldObject"] = old.clone();
        review.to_string()
    };
    let (_, answer) = post(&webhook, "/validate", about(&split(1), &Value::Null)).await;
    assert_eq!(verdict(&answer), "unchanged");
    let (_, answer) = post(&webhook, "/validate", about(&split(0), &split(1))).await;
    let sentence = answer["response"]["status"]["message"].as_str().expect("a refusal has a sentence");
    assert!(sentence.starts_with("TUL3009: spec.backends: all weights are 0; "), "{sentence}");
    let (_, answer) = post(&webhook, "/validate", about(&split(0), &split(0))).await;
    assert_eq!(verdict(&answer), "unchanged", "an object that is wrong already can still be labelled");
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let (webhook, _) = webhook();
    let mut old = review("shop", &pod(None));
    old["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let table = [
        (old.to_string(), StatusCode::BAD_REQUEST),
        ("{".into(), StatusCode::BAD_REQUEST),
        ("{}".into(), StatusCode::UNPROCESSABLE_ENTITY),
        (" ".repeat(8 * 1024 * 1024), StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (body, expected) in table {
        let (status, _) = post(&webhook, "/inject/namespace", body).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn reviews_are_counted_by_outcome_and_reason() {
    let (webhook, registry) = webhook();
    for (path, label) in [
        ("/inject/namespace", None),
        ("/inject/namespace", Some("disabled")),
        ("/inject/pod/confined", Some("enabled")),
    ] {
        post(&webhook, path, review("shop", &pod(label)).to_string()).await;
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics encode");
    for line in [
        r#"tulle_webhook_reviews_total{kind="Pod",outcome="injected",reason=""} 1"#,
        r#"tulle_webhook_reviews_total{kind="Pod",outcome="skipped",reason="opted-out"} 1"#,
        r#"tulle_webhook_reviews_total{kind="Pod",outcome="refused",reason="TUL1103"} 1"#,
        "tulle_webhook_review_duration_seconds_count 3",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}
