use std::collections::BTreeSet;
use std::sync::Arc;

use tulle_crds::TrafficSplit;

use super::{Change, Endpoint, Key, Pod, Ref, Service, Slice, World};

pub(crate) fn at(name: &str) -> Ref {
    Ref { namespace: "shop".into(), name: name.into() }
}

pub(crate) fn labels(app: &str) -> std::collections::BTreeMap<String, String> {
    [("app".to_owned(), app.to_owned())].into()
}

pub(crate) fn pod(app: &str, meshed: bool) -> Pod {
    Pod {
        uid: "p".into(),
        labels: labels(app),
        service_account: app.into(),
        meshed,
        ips: vec!["10.1.0.1".parse().expect("an address")],
        ..Pod::default()
    }
}

pub(crate) fn service(app: &str) -> Service {
    Service { uid: "s".into(), cluster_ips: vec!["10.0.0.1".into()], selector: labels(app), ..Service::default() }
}

pub(crate) fn slice(service: &str, pods: &[(&str, bool)]) -> Slice {
    let endpoint = |(pod, ready): &(&str, bool)| Endpoint {
        pod: Some((*pod).into()),
        address: format!("ip-{pod}"),
        ready: *ready,
    };
    Slice { service: Some(service.into()), endpoints: pods.iter().map(endpoint).collect() }
}

pub(crate) fn split(name: &str, version: &str) -> Arc<TrafficSplit> {
    let mut split = TrafficSplit::new(name, tulle_crds::TrafficSplitSpec::default());
    split.metadata.namespace = Some("shop".into());
    split.metadata.uid = Some(name.into());
    split.metadata.resource_version = Some(version.into());
    Arc::new(split)
}

fn take_in(world: &mut World, change: Change) -> Vec<Key> {
    let mut dirty = BTreeSet::new();
    world.take_in(change, &mut dirty);
    dirty.into_iter().collect()
}

#[test]
fn a_change_touches_what_depends_on_it_and_nothing_else() {
    let mut world = World::default();
    let take = &mut |change| take_in(&mut world, change);
    assert_eq!(take(Change::Service(at("web"), Some(service("web")))), [Key::Service(at("web"))]);
    assert_eq!(take(Change::Service(at("api"), Some(service("api")))), [Key::Service(at("api"))]);
    let started = take(Change::Pod(at("web-1"), Some(pod("web", true))));
    assert_eq!(started, [Key::Bindings, Key::Service(at("web")), Key::Pod(at("web-1"))]);
    assert_eq!(take(Change::Pod(at("web-1"), Some(pod("web", true)))), [], "nothing new");
    let second = take(Change::Pod(at("web-2"), Some(pod("web", true))));
    assert_eq!(second, [Key::Service(at("web")), Key::Pod(at("web-2"))], "the namespace is bound already");
    assert_eq!(take(Change::Slice(at("web-x"), Some(slice("web", &[("web-1", true)])))), [Key::Service(at("web"))]);
    assert_eq!(take(Change::TrafficSplit(at("canary"), Some(split("canary", "1")))), [Key::TrafficSplit(at("canary"))]);
    let ready = take(Change::Slice(at("web-x"), Some(slice("web", &[("web-1", false)]))));
    assert_eq!(ready, [Key::Service(at("web")), Key::TrafficSplit(at("canary"))], "a split shows ready endpoints");
    assert_eq!(take(Change::Pod(at("web-1"), None)), [Key::Service(at("web")), Key::Pod(at("web-1"))]);
    let last = take(Change::Pod(at("web-2"), None));
    assert!(last.contains(&Key::Bindings), "no meshed pod is left: {last:?}");
}

#[test]
fn pods_that_change_service_touch_both() {
    let mut world = World::default();
    take_in(&mut world, Change::Service(at("web"), Some(service("web"))));
    take_in(&mut world, Change::Service(at("api"), Some(service("api"))));
    take_in(&mut world, Change::Pod(at("p"), Some(pod("web", false))));
    let moved = take_in(&mut world, Change::Pod(at("p"), Some(pod("api", false))));
    assert_eq!(moved, [Key::Service(at("api")), Key::Service(at("web")), Key::Pod(at("p"))]);
}

#[test]
fn slices_are_found_by_their_service() {
    let mut world = World::default();
    take_in(&mut world, Change::Slice(at("x"), Some(slice("web", &[("a", true), ("b", false)]))));
    take_in(&mut world, Change::Slice(at("x6"), Some(slice("web", &[("a", true)]))));
    assert_eq!(world.tenants["shop"].ready_endpoints("web"), 1, "a pod of both families counts once");
    take_in(&mut world, Change::Slice(at("x"), Some(slice("api", &[("b", true)]))));
    take_in(&mut world, Change::Slice(at("x6"), None));
    let tenant = &world.tenants["shop"];
    assert_eq!((tenant.ready_endpoints("web"), tenant.ready_endpoints("api")), (0, 1));
    assert_eq!(tenant.slices_of.len(), 1);
}

#[test]
fn a_label_asks_for_bindings_before_there_is_a_pod() {
    let mut world = World::default();
    assert_eq!(take_in(&mut world, Change::Namespace("shop".into(), Some(false))), []);
    assert_eq!(take_in(&mut world, Change::Namespace("shop".into(), Some(true))), [Key::Bindings]);
    assert_eq!(take_in(&mut world, Change::Namespace("shop".into(), None)), [Key::Bindings]);
}

#[test]
fn what_a_watch_tells_late_undoes_nothing() {
    let mut world = World::default();
    take_in(&mut world, Change::TrafficSplit(at("canary"), Some(split("canary", "9"))));
    assert_eq!(take_in(&mut world, Change::TrafficSplit(at("canary"), Some(split("canary", "8")))), []);
    assert_eq!(take_in(&mut world, Change::TrafficSplit(at("canary"), Some(split("canary", "9")))), []);
    assert_eq!(
        take_in(&mut world, Change::TrafficSplit(at("canary"), Some(split("canary", "10")))),
        [Key::TrafficSplit(at("canary"))]
    );
    let mut anew = (*split("canary", "3")).clone();
    anew.metadata.uid = Some("another".into());
    assert_eq!(take_in(&mut world, Change::TrafficSplit(at("canary"), Some(Arc::new(anew)))).len(), 1, "made anew");
}

#[test]
fn namespaces_that_become_readable_touch_their_user_objects() {
    let mut world = World::default();
    take_in(&mut world, Change::TrafficSplit(at("canary"), Some(split("canary", "1"))));
    let shop: BTreeSet<Arc<str>> = ["shop".into()].into();
    assert_eq!(
        take_in(&mut world, Change::Bound(Some(shop.clone()))),
        [Key::Bindings, Key::TrafficSplit(at("canary"))]
    );
    assert!(!world.is_bound("shop"), "the trust bundle is not readable yet");
    take_in(&mut world, Change::BundleBound(Some(shop.clone())));
    assert!(world.is_bound("shop") && !world.is_bound("bank"));
    assert_eq!(take_in(&mut world, Change::Bound(Some(shop))), []);
}
