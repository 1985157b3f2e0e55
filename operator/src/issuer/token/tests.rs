use base64::Engine;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tulle_core::codes::Code;

use super::{Caller, audience_is_plausible, lives, vouched};

fn answer(change: impl FnOnce(&mut Value)) -> TokenReviewStatus {
    let mut answer = json!({
        "authenticated": true,
        "audiences": ["tulle-issuer"],
        "user": {
            "username": "system:serviceaccount:shop:web",
            "extra": {
                "authentication.kubernetes.io/pod-name": ["web-1"],
                "authentication.kubernetes.io/pod-uid": ["u-1"],
            },
        },
    });
    change(&mut answer);
    serde_json::from_value(answer).expect("a status")
}

fn web() -> Caller {
    Caller { namespace: "shop".into(), service_account: "web".into(), pod: "web-1".into(), uid: "u-1".into() }
}

#[test]
fn the_answer_alone_names_the_caller() {
    assert_eq!(vouched(&answer(|_| {})).expect("vouched for"), web());
}

type Change = fn(&mut Value);

#[test]
fn what_is_not_vouched_for() {
    let rows: [(&str, Change, Code); 9] = [
        ("refused", |v| v["authenticated"] = json!(false), Code::TokenRefused),
        ("no verdict", |v| v["authenticated"] = Value::Null, Code::TokenRefused),
        ("an API server that knows no audiences", |v| v["audiences"] = Value::Null, Code::TokenWrongAudience),
        ("another audience", |v| v["audiences"] = json!(["vault"]), Code::TokenWrongAudience),
        ("a person", |v| v["user"]["username"] = json!("admin"), Code::TokenRefused),
        ("a node", |v| v["user"]["username"] = json!("system:node:n1"), Code::TokenRefused),
        ("a long-lived token", |v| v["user"]["extra"] = Value::Null, Code::TokenNotPodBound),
        (
            "no uid",
            |v| v["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = Value::Null,
            Code::TokenNotPodBound,
        ),
        (
            "two pods",
            |v| v["user"]["extra"]["authentication.kubernetes.io/pod-name"] = json!(["a", "b"]),
            Code::TokenNotPodBound,
        ),
    ];
    for (name, change, code) in rows {
        let refusal = vouched(&answer(|value| {
            change(value);
            strip_nulls(value);
        }))
        .expect_err(name);
        assert_eq!(refusal.code, code, "{name}: {}", refusal.message);
    }
}

fn strip_nulls(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(strip_nulls);
    }
}

#[test]
fn the_pod_must_be_the_one_that_runs() {
    let pod = |uid: &str, service_account: Option<&str>, phase: &str| -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-1", "uid": uid},
            "spec": {"containers": [], "serviceAccountName": service_account},
            "status": {"phase": phase},
        }))
        .expect("a pod")
    };
    assert!(lives(&web(), Some(&pod("u-1", Some("web"), "Running"))).is_ok());
    assert!(lives(&web(), Some(&pod("u-1", Some("web"), "Pending"))).is_ok(), "proxies start before the pod runs");
    let rows = [
        ("deleted", None),
        ("replaced", Some(pod("u-2", Some("web"), "Running"))),
        ("other account", Some(pod("u-1", Some("admin"), "Running"))),
        ("default account", Some(pod("u-1", None, "Running"))),
        ("ended", Some(pod("u-1", Some("web"), "Succeeded"))),
        ("failed", Some(pod("u-1", Some("web"), "Failed"))),
    ];
    for (name, pod) in rows {
        assert_eq!(lives(&web(), pod.as_ref()).expect_err(name).code, Code::PodNotLive, "{name}");
    }
}

#[test]
fn a_token_that_excludes_itself_is_refused_before_anybody_is_asked() {
    let token = |claims: Value| {
        let part = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.signature", part(&json!({"alg": "RS256"})), part(&claims))
    };
    assert!(audience_is_plausible(&token(json!({"aud": ["tulle-issuer"]}))).is_ok());
    assert!(audience_is_plausible(&token(json!({"aud": "tulle-issuer"}))).is_ok());
    let refusal = audience_is_plausible(&token(json!({"aud": ["https://kubernetes"]}))).expect_err("another audience");
    assert_eq!(refusal.code, Code::TokenWrongAudience);
    assert!(refusal.message.contains("https://kubernetes"), "{}", refusal.message);
    for garbage in ["", "x", "a.b", "a.b.c", "....", "a.e30.c."] {
        let refusal = audience_is_plausible(garbage).expect_err("garbage");
        assert!(refusal.message.len() < 200 && !refusal.message.contains("a.b"), "{}", refusal.message);
    }
}
