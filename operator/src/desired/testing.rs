//! A small cluster for the tests of decisions.

use std::collections::BTreeSet;

use super::Settings;
use crate::world::{Change, World};

pub(crate) fn settings() -> Settings {
    Settings {
        system_namespace: "tulle-system".into(),
        trust_domain: "cluster.local".parse().expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
    }
}

pub(crate) fn world(changes: impl IntoIterator<Item = Change>) -> World {
    let mut world = World::default();
    for change in changes {
        world.take_in(change, &mut BTreeSet::new());
    }
    world
}

pub(crate) fn mesh_service(name: &str) -> std::sync::Arc<tulle_crds::MeshService> {
    std::sync::Arc::new(tulle_crds::MeshService::new(name, tulle_crds::MeshServiceSpec::default()))
}

pub(crate) fn report(plan: Option<super::Plan>) -> super::report::Report {
    match plan {
        Some(super::Plan::Status(report)) => *report,
        other => panic!("{other:?}"),
    }
}
