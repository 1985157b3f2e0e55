use serde_json::json;

use super::*;

fn split(spec: Value) -> SmiTrafficSplit {
    serde_json::from_value(json!({
        "apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": spec,
    }))
    .expect("a TrafficSplit of SMI")
}

fn weighted(weights: &[Value]) -> Result<Vec<i64>, String> {
    let backends: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(i, weight)| json!({"service": format!("web-{i}"), "weight": weight}))
        .collect();
    let translated = translate(&split(json!({"service": "web", "backends": backends})), |_| None)?;
    Ok(translated.spec.backends.iter().map(|backend| backend.weight).collect())
}

#[test]
fn weights_of_every_version() {
    let rows = [
        (vec![json!(0), json!(100)], vec![0, 100]),
        (vec![json!("0"), json!("100")], vec![0, 100]),
        (vec![json!("500m"), json!("1")], vec![500, 1000]),
        (vec![json!("900m"), json!("100m")], vec![900, 100]),
        (vec![json!("2000m"), json!("1")], vec![2, 1]),
        (vec![json!("0.5"), json!("1.25")], vec![500, 1250]),
        (vec![json!(1), json!("250m")], vec![1000, 250]),
    ];
    for (written, expected) in rows {
        assert_eq!(weighted(&written), Ok(expected), "{written:?}");
    }
    for wrong in
        [json!("-1"), json!(-1), json!("1k"), json!("1e3"), json!(""), json!("0.1234"), json!(0.5), json!(null)]
    {
        let error = weighted(&[json!(1), wrong.clone()]).expect_err("no weight");
        assert!(error.starts_with("spec.backends[1].weight: "), "{wrong}: {error}");
    }
}

#[test]
fn it_is_owned_by_what_it_says() {
    let written =
        split(json!({"service": "web.shop.svc.cluster.local", "backends": [{"service": "web-a", "weight": 1}]}));
    let translated = translate(&written, |_| None).expect("sound");
    assert_eq!(translated.name_any(), "web");
    assert_eq!(translated.spec.service, "web.shop.svc.cluster.local");
    assert!(is_ours(&translated));
    let mut foreign = translated.clone();
    foreign.metadata.owner_references = None;
    assert!(!is_ours(&foreign), "somebody labelled a split of their own");
    let mut unlabelled = translated;
    unlabelled.metadata.labels = None;
    assert!(!is_ours(&unlabelled));
}

#[test]
fn groups_of_conditions_are_merged() {
    let groups = |name: &str| -> Option<SmiRouteGroupSpec> {
        let matches = match name {
            "testers" => json!([{"name": "ff", "headers": {"User-Agent": ".*Firefox.*"}, "pathRegex": ""}]),
            "old" => json!([{"methods": ["*"], "pathRegex": "/x", "headers": [{"a": "1"}, {"b": "2"}]}]),
            "empty" => json!([]),
            _ => return None,
        };
        serde_json::from_value(json!({"matches": matches})).ok()
    };
    let known: Vec<(&str, SmiRouteGroupSpec)> =
        ["testers", "old", "empty"].into_iter().filter_map(|name| Some((name, groups(name)?))).collect();
    let translated = |kind: &str, names: &[&str]| {
        let references: Vec<_> = names.iter().map(|name| json!({"kind": kind, "name": name})).collect();
        let backends = json!([{"service": "web-a", "weight": 1}]);
        let written = split(json!({"service": "web", "backends": backends, "matches": references}));
        translate(&written, |name| known.iter().find(|(known, _)| *known == name).map(|(_, group)| group))
            .map(|split| split.spec.matches)
    };
    let matches = translated("HTTPRouteGroup", &["testers", "old"]).expect("both exist");
    assert_eq!(matches.len(), 2);
    assert_eq!(
        (matches[0].path_regex.as_deref(), &matches[0].headers["user-agent"]),
        (None, &".*Firefox.*".to_owned())
    );
    assert_eq!((matches[1].path_regex.as_deref(), matches[1].headers.len()), (Some("/x"), 2));
    let errors = [
        ("HTTPRouteGroup", "gone", "spec.matches[0].name: HTTPRouteGroup gone does not exist"),
        ("HTTPRouteGroup", "empty", "spec.matches[0].name: HTTPRouteGroup empty has no condition"),
        ("TCPRoute", "testers", "spec.matches[0].kind: \"TCPRoute\" is no HTTPRouteGroup"),
    ];
    for (kind, name, sentence) in errors {
        assert_eq!(translated(kind, &[name]).expect_err(name), sentence);
    }
}
