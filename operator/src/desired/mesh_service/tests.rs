use std::sync::Arc;

use tulle_crds::{MeshService, Protocol};

use super::plan;
use crate::desired::Plan;
use crate::desired::testing::{settings, world};
use crate::world::tests::{at, pod, service, slice};
use crate::world::{Change, Endpoint, Key, Pod, Port, Slice, World};

fn planned(world: &World) -> MeshService {
    match plan(&at("web"), world, &settings()) {
        Some(Plan::MeshService(object)) => *object,
        other => panic!("{other:?}"),
    }
}

fn meshed(object: &MeshService) -> &str {
    object.status.as_ref().and_then(|status| status.meshed.as_deref()).expect("a word")
}

#[test]
fn a_service_as_the_mesh_sees_it() {
    let mut web = service("web");
    web.cluster_ips = vec!["10.0.0.1".into(), "fd00::1".into()];
    let port =
        |name: &str, port, app: Option<&str>| Port { name: name.into(), port, app_protocol: app.map(str::to_owned) };
    web.ports = vec![port("http", 80, None), port("x", 81, Some("grpc")), port("http-2", 82, None), port("", 83, None)];
    let object =
        planned(&world([Change::Service(at("web"), Some(web)), Change::Pod(at("web-1"), Some(pod("web", true)))]));
    let labels = object.metadata.labels.as_ref().expect("labels");
    assert_eq!(labels["tulle.dev/cluster-ip"], "10.0.0.1");
    assert_eq!(labels["tulle.dev/cluster-ip-v6"], "fd00-0000-0000-0000-0000-0000-0000-0001");
    assert_eq!(labels["tulle.dev/service"], "web");
    let owner = &object.metadata.owner_references.as_ref().expect("an owner")[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str(), owner.block_owner_deletion), ("Service", "s", None));
    let protocols: Vec<_> = object.spec.ports.iter().map(|port| port.protocol).collect();
    assert_eq!(protocols, [Protocol::Http, Protocol::Grpc, Protocol::Http, Protocol::Detect]);
    assert_eq!(object.spec.identities, ["spiffe://cluster.local/ns/shop/sa/web"]);
    assert_eq!(object.status.as_ref().and_then(|s| s.protocols.as_deref()), Some("HTTP,GRPC,Detect"));
    assert_eq!(meshed(&object), "Yes");
}

#[test]
fn members() {
    let endpoint = |pod: Option<&str>| Endpoint { pod: pod.map(Into::into), address: "10.9.9.9".into(), ready: true };
    let by_hand = Slice { service: Some("web".into()), endpoints: vec![endpoint(None)] };
    let named = Slice { service: Some("web".into()), endpoints: vec![endpoint(Some("other-1"))] };
    let ended = Pod { ended: true, ..pod("web", true) };
    let no_address = Pod { ips: Vec::new(), ..pod("web", true) };
    type Row<'a> = (&'a str, Vec<Change>, &'a [&'a str], &'a [&'a str], bool, &'a str);
    let rows: Vec<Row<'_>> = vec![
        ("nobody", vec![], &[], &[], false, "No"),
        ("before it has an address", vec![Change::Pod(at("a"), Some(no_address))], &["web"], &[], false, "Yes"),
        ("not meshed", vec![Change::Pod(at("a"), Some(pod("web", false)))], &[], &["a"], false, "No"),
        (
            "half meshed",
            vec![Change::Pod(at("a"), Some(pod("web", false))), Change::Pod(at("b"), Some(pod("web", true)))],
            &["web"],
            &["a"],
            false,
            "Partly",
        ),
        ("an ended pod answers for nothing", vec![Change::Pod(at("a"), Some(ended))], &[], &[], false, "No"),
        ("another service's pod", vec![Change::Pod(at("a"), Some(pod("api", true)))], &[], &[], false, "No"),
        ("endpoints by hand", vec![Change::Slice(at("x"), Some(by_hand))], &[], &[], true, "No"),
        (
            "a pod that only a slice names",
            vec![Change::Pod(at("other-1"), Some(pod("other", true))), Change::Slice(at("x"), Some(named))],
            &["other"],
            &[],
            false,
            "Yes",
        ),
        (
            "a slice ahead of its pod",
            vec![Change::Slice(at("x"), Some(slice("web", &[("a", true)])))],
            &[],
            &[],
            false,
            "No",
        ),
    ];
    for (name, changes, accounts, outside, external, word) in rows {
        let changes = [Change::Service(at("web"), Some(service("web")))].into_iter().chain(changes);
        let object = planned(&world(changes));
        let identities: Vec<_> = accounts.iter().map(|sa| format!("spiffe://cluster.local/ns/shop/sa/{sa}")).collect();
        assert_eq!(object.spec.identities, identities, "{name}");
        assert_eq!(object.spec.outside, outside, "{name}");
        assert_eq!(object.spec.external_endpoints, external, "{name}");
        assert_eq!(meshed(&object), word, "{name}");
    }
}

#[test]
fn labels_of_pods_are_said_by_workload() {
    let labelled = |version: &str, meshed| {
        let mut pod = pod("web", meshed);
        pod.labels.insert("version".into(), version.into());
        Change::Pod(at("unused"), Some(pod))
    };
    let named = |name: &str, change: Change| match change {
        Change::Pod(_, pod) => Change::Pod(at(name), pod),
        other => other,
    };
    let mut world = world([
        Change::Service(at("web"), Some(service("web"))),
        named("web-a-1", labelled("v1", true)),
        named("web-a-2", labelled("v1", false)),
        named("web-b-1", labelled("v2", true)),
    ]);
    let said = |world: &World| -> Vec<String> {
        let workloads = planned(world).spec.workloads;
        workloads.iter().map(|workload| format!("{} {}", workload.pods, workload.labels["version"])).collect()
    };
    assert_eq!(said(&world), ["web-a-* v1", "web-b-* v2"], "meshed or not");

    let object = planned(&world);
    world.take_in(Change::MeshService(at("web"), Some(Arc::new(object))), &mut Default::default());
    world.take_in(named("web-a-3", labelled("v1", true)), &mut Default::default());
    assert!(plan(&at("web"), &world, &settings()).is_none(), "one more of a kind is no news");

    let mut dirty = Default::default();
    world.take_in(named("web-a-2", labelled("v2", false)), &mut dirty);
    assert!(dirty.contains(&Key::Service(at("web"))), "{dirty:?}");
    assert_eq!(said(&world), ["web-a-* v1", "web-a-2 v2", "web-b-* v2"]);
}

#[test]
fn written_only_when_it_differs() {
    let mut world =
        world([Change::Service(at("web"), Some(service("web"))), Change::Pod(at("a"), Some(pod("web", true)))]);
    let mut object = planned(&world);
    object.metadata.uid = Some("m".into());
    object.metadata.labels.as_mut().expect("labels").insert("team".into(), "x".into());
    let see = |world: &mut World, object: &MeshService| {
        world.take_in(Change::MeshService(at("web"), Some(Arc::new(object.clone()))), &mut Default::default());
    };
    see(&mut world, &object);
    assert!(plan(&at("web"), &world, &settings()).is_none(), "labels of others are left alone");

    let mut edited = object.clone();
    edited.spec.identities.push("spiffe://cluster.local/ns/shop/sa/evil".into());
    see(&mut world, &edited);
    assert_eq!(planned(&world).spec.identities.len(), 1, "an edit by others is taken back");

    let mut stale = object.clone();
    stale.metadata.labels.as_mut().expect("labels").insert("tulle.dev/cluster-ip-v6".into(), "fd00".into());
    see(&mut world, &stale);
    assert!(plan(&at("web"), &world, &settings()).is_some(), "a label with an address it does not have");

    see(&mut world, &object);
    world.take_in(Change::Service(at("web"), None), &mut Default::default());
    match plan(&at("web"), &world, &settings()) {
        Some(Plan::RemoveMeshService { uid, .. }) => assert_eq!(uid.as_deref(), Some("m")),
        other => panic!("{other:?}"),
    }
}
