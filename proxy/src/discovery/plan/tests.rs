use super::*;

fn names(list: &[&str]) -> Selection {
    Selection::Names(list.iter().map(|name| Arc::from(*name)).collect())
}

#[test]
fn selectors_are_sorted_sets() {
    let rows = [
        (Kind::MeshService, names(&["web", "api"]), Some("tulle.dev/service in (api,web)")),
        (Kind::EndpointSlice, names(&["web"]), Some("kubernetes.io/service-name in (web)")),
        (Kind::MeshEndpoint, names(&["10.0.0.1", "10.0.0.2"]), Some("tulle.dev/pod-ip in (10.0.0.1,10.0.0.2)")),
        (Kind::MeshEndpointV6, names(&["fd00-1"]), Some("tulle.dev/pod-ip-v6 in (fd00-1)")),
        (Kind::MeshService, Selection::All, None),
        (Kind::TrafficSplit, Selection::All, None),
    ];
    for (kind, selection, want) in rows {
        assert_eq!(label_selector(kind, &selection).as_deref(), want, "{kind:?}");
    }
    assert_eq!(field_selector(Kind::TrustBundle).as_deref(), Some("metadata.name=tulle-trust-bundle"));
    assert_eq!(field_selector(Kind::MeshPolicy), None);
}

#[test]
fn a_wider_selection_covers_a_narrower_one() {
    let rows = [
        (Selection::All, names(&["a"]), true),
        (Selection::All, Selection::All, true),
        (names(&["a", "b"]), names(&["a"]), true),
        (names(&["a"]), names(&["a", "b"]), false),
        (names(&["a"]), Selection::All, false),
    ];
    for (wide, narrow, want) in rows {
        assert_eq!(wide.covers(&narrow), want, "{wide:?} {narrow:?}");
    }
}

#[test]
fn a_namespace_of_which_much_is_used_is_watched_whole() {
    let namespace = Namespace::from("shop");
    let mut plan = Plan::new();
    for n in 0..MAX_NAMES {
        plan.name(&namespace, Kind::MeshService, &Arc::from(format!("s{n}")));
    }
    let plan = plan.bounded();
    assert!(
        matches!(&plan[&Scope::new(&namespace, Kind::MeshService)], Selection::Names(names) if names.len() == MAX_NAMES)
    );
    let mut plan = plan;
    plan.name(&namespace, Kind::MeshService, &Arc::from("one-more"));
    assert_eq!(plan.bounded()[&Scope::new(&namespace, Kind::MeshService)], Selection::All);
}
