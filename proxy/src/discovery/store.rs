//! Everything the watches have said, by namespace. Pure: events in, state out; nothing here waits, reads a clock or logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tulle_core::authz::Policy;
use tulle_core::host::Host;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::Destination;
use tulle_core::route::delegate::Composed;
use tulle_crds::into_core::{TrafficSplit, VirtualService};

use super::collection::{Collection, Entry, Refused};
use super::object::{Kind, Meta, Object, Scope};
use super::plan::Selection;
use super::records::{BundleRecord, Context, PodRecord, Record, ServiceRecord, SliceRecord};

/// The watched world.
#[derive(Debug)]
pub(crate) struct Store {
    cluster_domain: Arc<str>,
    worlds: BTreeMap<Namespace, World>,
    bundle: Option<Arc<[u8]>>,
    /// The pod's own labels; `None` until they could be read.
    labels: Option<BTreeMap<String, String>>,
    labels_revision: u64,
}

/// What is watched of one namespace.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) services: Collection<ServiceRecord>,
    pub(crate) slices: Collection<SliceRecord>,
    pub(crate) pods: Collection<PodRecord>,
    pub(crate) pods_v6: Collection<PodRecord>,
    pub(crate) routes: Collection<VirtualService>,
    pub(crate) splits: Collection<TrafficSplit>,
    pub(crate) policies: Collection<Policy>,
    bundles: Collection<BundleRecord>,
}

/// A change of one scope, as its watch tells it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Everything there is of this selection: what is not listed is gone.
    Listed(Selection, Vec<Object>),
    Applied(Object),
    Deleted(Meta),
}

/// An object that could not be understood; told once for each version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) scope: Scope,
    pub(crate) name: Arc<str>,
    pub(crate) error: Arc<str>,
    /// What is in force in its place.
    pub(crate) kept: Kept,
}

/// What is in force where a version of an object could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing: there was no earlier version.
    Nothing,
    /// The last good version.
    Last,
    /// Of this version what could be.
    Rest,
}

/// What is in force of one object.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) scope: Scope,
    pub(crate) name: Arc<str>,
    pub(crate) version: u64,
    pub(crate) generation: i64,
    /// Why this version is not in force, or not all of it.
    pub(crate) error: Option<Arc<str>>,
}

impl Store {
    pub(crate) fn new(cluster_domain: Arc<str>) -> Self {
        Self { cluster_domain, worlds: BTreeMap::new(), bundle: None, labels: None, labels_revision: 0 }
    }

    /// What is known of a namespace.
    pub(crate) fn world(&self, namespace: &Namespace) -> Option<&World> {
        self.worlds.get(namespace)
    }

    /// The trust bundle, PEM. It outlives its ConfigMap: without it every peer would be a stranger.
    pub(crate) fn bundle(&self) -> Option<&Arc<[u8]>> {
        self.bundle.as_ref()
    }

    /// The VirtualServices that speak for a Service to callers of a namespace: those that name it most exactly, and among them that
    /// namespace's, if it has any, before those of the Service's own. What comes first is asked alone: different hosts and different
    /// namespaces are never merged (Istio: the most specific host; GEP-1294, "Multiple routes for a Service").
    pub(crate) fn routes_for(&self, service: &ServiceRef, caller: &Namespace) -> Vec<&VirtualService> {
        let consumers = (caller != &service.namespace).then_some(caller);
        let namespaces = consumers.into_iter().chain([&service.namespace]).enumerate();
        let mut speaking: Vec<(&Host, usize, &VirtualService)> = namespaces
            .flat_map(|(order, namespace)| {
                let world = self.worlds.get(namespace).into_iter();
                world.flat_map(|world| world.routes_of(service)).map(move |(host, route)| (host, order, route))
            })
            .filter(|(_, _, route)| route.export.reaches(caller))
            .collect();
        let first = speaking.iter().map(|(host, order, _)| (*host, *order)).min();
        speaking.retain(|(host, order, _)| Some((*host, *order)) == first);
        speaking.into_iter().map(|(_, _, route)| route).collect()
    }

    /// The rules of an object with those of its delegates in place.
    pub(crate) fn composed<'a>(&self, of: &'a VirtualService) -> Composed<'a, Destination> {
        of.composed(|to| self.worlds.get(&to.namespace)?.routes.get(&to.name).map(AsRef::as_ref))
    }

    /// The pod's own labels, once they could be read.
    pub(crate) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_ref()
    }

    /// Grows whenever a policy or the pod's labels change.
    pub(crate) fn policy_revision(&self) -> u64 {
        self.labels_revision + self.worlds.values().map(|world| world.policies.revision()).sum::<u64>()
    }

    /// Takes the pod's labels. Returns whether they are news.
    pub(crate) fn set_labels(&mut self, labels: BTreeMap<String, String>) -> bool {
        let news = self.labels.as_ref() != Some(&labels);
        if news {
            self.labels = Some(labels);
            self.labels_revision += 1;
        }
        news
    }

    /// Takes what a watch says. Returns what could not be understood of it.
    pub(crate) fn take(&mut self, scope: &Scope, change: Change) -> Vec<Complaint> {
        let context = Context { namespace: &scope.namespace, cluster_domain: &self.cluster_domain };
        let world = self.worlds.entry(scope.namespace.clone()).or_default();
        let complaints = match scope.kind {
            Kind::TrustBundle => take(&mut world.bundles, &context, scope, change),
            Kind::MeshService => take(&mut world.services, &context, scope, change),
            Kind::EndpointSlice => take(&mut world.slices, &context, scope, change),
            Kind::MeshEndpoint => take(&mut world.pods, &context, scope, change),
            Kind::MeshEndpointV6 => take(&mut world.pods_v6, &context, scope, change),
            Kind::VirtualService => take(&mut world.routes, &context, scope, change),
            Kind::TrafficSplit => take(&mut world.splits, &context, scope, change),
            Kind::MeshPolicy => take(&mut world.policies, &context, scope, change),
        };
        if let Some((_, bundle)) = world.bundles.in_force().next() {
            self.bundle = Some(Arc::clone(&bundle.pem));
        }
        complaints
    }

    /// Forgets a scope whose watch was dropped.
    pub(crate) fn forget(&mut self, scope: &Scope) {
        let Some(world) = self.worlds.get_mut(&scope.namespace) else { return };
        match scope.kind {
            Kind::TrustBundle => world.bundles = Collection::default(),
            Kind::MeshService => world.services = Collection::default(),
            Kind::EndpointSlice => world.slices = Collection::default(),
            Kind::MeshEndpoint => world.pods = Collection::default(),
            Kind::MeshEndpointV6 => world.pods_v6 = Collection::default(),
            Kind::VirtualService => world.routes = Collection::default(),
            Kind::TrafficSplit => world.splits = Collection::default(),
            Kind::MeshPolicy => world.policies = Collection::default(),
        }
        if world.is_empty() {
            self.worlds.remove(&scope.namespace);
        }
    }

    /// The objects of users, and whether the version that was read is in force.
    pub(crate) fn applied(&self) -> Vec<Applied> {
        let mut all = Vec::new();
        for (namespace, world) in &self.worlds {
            let scope = |kind| Scope::new(namespace, kind);
            all.extend(world.routes.entries().map(|entry| applied(scope(Kind::VirtualService), entry)));
            all.extend(world.splits.entries().map(|entry| applied(scope(Kind::TrafficSplit), entry)));
            all.extend(world.policies.entries().map(|entry| applied(scope(Kind::MeshPolicy), entry)));
        }
        all
    }
}

impl World {
    /// The VirtualServices that a Service is among the hosts of, and as which.
    fn routes_of(&self, service: &ServiceRef) -> impl Iterator<Item = (&Host, &VirtualService)> {
        self.routes.in_force().filter_map(move |(_, route)| Some((route.host_of(service)?, route.as_ref())))
    }

    /// The TrafficSplit on a Service. Of several the oldest is in force, then the first by name; status calls the others Conflicted.
    pub(crate) fn split_of(&self, service: &ServiceRef) -> Option<&TrafficSplit> {
        let splits = self.splits.in_force().map(|(_, split)| split.as_ref()).filter(|split| split.apex == *service);
        splits.min_by(|a, b| a.rank.cmp(&b.rank))
    }

    /// The pods of a family.
    pub(crate) fn pods_of(&self, kind: Kind) -> &Collection<PodRecord> {
        if kind == Kind::MeshEndpointV6 { &self.pods_v6 } else { &self.pods }
    }

    fn is_empty(&self) -> bool {
        let watched = [
            self.services.initialised(),
            self.slices.initialised(),
            self.pods.initialised(),
            self.pods_v6.initialised(),
            self.routes.initialised(),
            self.splits.initialised(),
            self.policies.initialised(),
            self.bundles.initialised(),
        ];
        !watched.contains(&true)
    }
}

fn take<T: Record>(collection: &mut Collection<T>, context: &Context, scope: &Scope, change: Change) -> Vec<Complaint> {
    let parse = |body| {
        move |meta: &Meta, last: Option<&T>| {
            T::parse(meta, body, context).map_err(|refused| match (refused.rest, last) {
                (Some(rest), Some(last)) => Refused { rest: Some(rest.keeping(last)), ..refused },
                (rest, _) => Refused { rest, ..refused },
            })
        }
    };
    match change {
        Change::Listed(selection, list) => {
            let list = list.into_iter().map(|object| (object.meta, parse(object.body)));
            collection.replace(selection, list).into_iter().filter_map(|entry| complaint(scope, entry)).collect()
        }
        Change::Applied(object) => {
            let news = collection.apply(object.meta, parse(object.body));
            news.and_then(|entry| complaint(scope, entry)).into_iter().collect()
        }
        Change::Deleted(meta) => {
            collection.delete(&meta);
            Vec::new()
        }
    }
}

fn complaint<T>(scope: &Scope, entry: &Entry<T>) -> Option<Complaint> {
    let refused = entry.error.as_ref()?;
    let kept = match (&refused.rest, &entry.good) {
        (Some(_), _) => Kept::Rest,
        (None, Some(_)) => Kept::Last,
        (None, None) => Kept::Nothing,
    };
    let (name, error) = (Arc::clone(&entry.meta.name), Arc::clone(&refused.sentence));
    Some(Complaint { scope: scope.clone(), name, error, kept })
}

fn applied<T>(scope: Scope, entry: &Entry<T>) -> Applied {
    let Meta { name, version, generation, .. } = &entry.meta;
    let error = entry.error.as_ref().map(|refused| Arc::clone(&refused.sentence));
    Applied { scope, name: Arc::clone(name), version: *version, generation: *generation, error }
}

#[cfg(test)]
mod tests;
