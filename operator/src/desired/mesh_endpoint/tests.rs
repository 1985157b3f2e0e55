use std::sync::Arc;

use tulle_crds::MeshEndpoint;

use super::plan;
use crate::desired::Plan;
use crate::desired::testing::{settings, world};
use crate::world::tests::{at, pod};
use crate::world::{Change, Pod};

#[test]
fn a_meshed_pod_with_an_address_is_published() {
    let pods = [
        ("meshed", pod("web", true), true),
        ("not meshed", pod("web", false), false),
        ("no address yet", Pod { ips: Vec::new(), ..pod("web", true) }, false),
        ("ended", Pod { ended: true, ..pod("web", true) }, false),
    ];
    for (name, pod, published) in pods {
        let world = world([Change::Pod(at("web-1"), Some(pod))]);
        match (plan(&at("web-1"), &world, &settings()), published) {
            (None, false) => {}
            (Some(Plan::MeshEndpoint(object)), true) => {
                assert_eq!(object.spec.identity, "spiffe://cluster.local/ns/shop/sa/web");
                assert_eq!(object.metadata.labels.as_ref().expect("labels")["tulle.dev/pod-ip"], "10.1.0.1");
                assert_eq!(object.metadata.owner_references.as_ref().expect("an owner")[0].kind, "Pod");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn an_ended_pod_gives_its_address_back() {
    let mut world = world([Change::Pod(at("job-1"), Some(pod("web", true)))]);
    let Some(Plan::MeshEndpoint(object)) = plan(&at("job-1"), &world, &settings()) else { panic!("not published") };
    let object: Arc<MeshEndpoint> = Arc::new(*object);
    world.take_in(Change::MeshEndpoint(at("job-1"), Some(object)), &mut Default::default());
    assert!(plan(&at("job-1"), &world, &settings()).is_none());
    for end in [Some(Pod { ended: true, ..pod("web", true) }), None] {
        world.take_in(Change::Pod(at("job-1"), end), &mut Default::default());
        assert!(matches!(plan(&at("job-1"), &world, &settings()), Some(Plan::RemoveMeshEndpoint { .. })));
    }
}
