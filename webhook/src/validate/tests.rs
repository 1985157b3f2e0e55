use serde_json::json;

use super::*;

/// What proxies would isolate is not let in.
#[test]
fn one_bad_rule_is_enough_to_be_refused() {
    let rule = |timeout: &str| json!({"route": [{"destination": {"host": "web"}}], "timeout": timeout});
    let judged = |http: Value| {
        let request = json!({
            "uid": "1",
            "kind": {"group": "tulle.dev", "version": "v1alpha1", "kind": "VirtualService"},
            "object": {
                "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService",
                "metadata": {"name": "routes", "namespace": "shop"}, "spec": {"hosts": ["web"], "http": http},
            },
        });
        let request: Request = serde_json::from_value(request).expect("a request");
        validate(&request, &Ctx::new("cluster.local")).1
    };
    assert_eq!(judged(json!([rule("1s"), rule("2s")])), Ok(()));
    let refused = judged(json!([rule("1s"), rule("soon")])).expect_err("a rule with a mistake");
    assert!(refused.sentence.starts_with("TUL3001: spec.http[1].timeout: "), "{}", refused.sentence);
}
