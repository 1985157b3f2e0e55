use super::{namespaces, plan};
use crate::desired::Plan;
use crate::desired::testing::{settings, world};
use crate::world::tests::{at, pod};
use crate::world::{Change, World};

#[test]
fn every_meshed_namespace_is_bound_and_no_other() {
    let mut world = world([
        Change::Namespace("zoo".into(), Some(true)),
        Change::Namespace("plain".into(), Some(false)),
        Change::Pod(at("web-1"), Some(pod("web", true))), // a pod that asked for itself, in shop
        Change::Namespace("shop".into(), Some(false)),
    ]);
    let Some(Plan::Bindings(cluster, bundle)) = plan(&world, &settings()) else { panic!("not bound") };
    let names: Vec<_> = cluster.subjects.iter().flatten().map(|subject| subject.name.as_str()).collect();
    assert_eq!(names, ["system:serviceaccounts:shop", "system:serviceaccounts:zoo"]);
    assert_eq!(cluster.subjects, bundle.subjects);
    assert_eq!(cluster.role_ref.kind, "ClusterRole");
    assert_eq!((bundle.role_ref.kind.as_str(), bundle.metadata.namespace.as_deref()), ("Role", Some("tulle-system")));

    let see = |world: &mut World, change| world.take_in(change, &mut Default::default());
    let bound = namespaces(cluster.subjects.as_ref());
    see(&mut world, Change::Bound(Some(bound.clone())));
    assert!(plan(&world, &settings()).is_some(), "the bundle is not readable yet");
    see(&mut world, Change::BundleBound(Some(bound)));
    assert!(plan(&world, &settings()).is_none());
    see(&mut world, Change::Namespace("zoo".into(), None));
    assert!(plan(&world, &settings()).is_some());
    see(&mut world, Change::Bound(None));
    assert!(plan(&world, &settings()).is_some(), "deleted by somebody");
}
