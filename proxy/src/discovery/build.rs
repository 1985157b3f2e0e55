//! From the store to the snapshot that requests see. Pure. Whatever did not change keeps its `Arc`, so that data threads keep
//! their connections, balancer state and counters by pointer.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use tulle_core::name::ServiceRef;
use tulle_core::route::{Caller, Destination as Asked, Subset, TrafficPolicy};
use tulle_core::snapshot::{Backend, Destination, Only, PodTarget, Port, Service, Snapshot, Target};
use tulle_core::split::Split;

use super::addresses::{Addresses, Binding};
use super::endpoints::endpoints;
use super::needs::{Home, known};
use super::policies;
use super::records::ServicePort;
use super::routes::{bytes, routes};
use super::store::Store;

/// A snapshot with what the next one may take over from it.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) snapshot: Arc<Snapshot>,
    parts: Parts,
    /// Of the policies in the snapshot; `None` while they are not known.
    policy_revision: Option<u64>,
}

/// The parts of a snapshot by name.
#[derive(Clone, Debug, Default)]
struct Parts {
    services: HashMap<ServiceRef, Arc<Service>>,
    destinations: HashMap<Place, Arc<Destination>>,
    backends: HashMap<Place, Arc<Backend>>,
}

/// What a destination or backend is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    service: ServiceRef,
    port: u16,
    /// Which of its endpoints.
    subset: Option<Arc<Subset>>,
    /// How they are called.
    policy: TrafficPolicy,
}

/// What does not change while the proxy runs.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) home: Home,
    /// Which family to dial where a Service has both.
    pub(crate) prefer_ipv4: bool,
}

impl Built {
    /// Whether the policies in the snapshot are those of the cluster.
    pub(crate) fn knows_policies(&self) -> bool {
        self.policy_revision.is_some()
    }

    /// The world before anything is known: no address, and a policy that refuses every call, because the one that would may
    /// not have been read yet.
    pub(crate) fn nothing(frame: &Frame) -> Self {
        let snapshot =
            Snapshot { generation: 0, targets: HashMap::default(), policies: Arc::new(policies::unknown(&frame.home)) };
        Self { snapshot: Arc::new(snapshot), parts: Parts::default(), policy_revision: None }
    }
}

/// The snapshot of what is known now, or `None` if it equals the previous one.
pub(crate) fn build(store: &Store, addresses: &Addresses, frame: &Frame, previous: &Built) -> Option<Built> {
    let mut builder = Builder { store, frame, old: &previous.parts, new: Parts::default(), kept: false };
    let old = &previous.snapshot;
    let mut targets = HashMap::with_capacity_and_hasher(addresses.len(), Default::default());
    for (address, binding) in addresses.iter() {
        if let Some(target) = builder.target(address, binding, old.targets.get(&address)) {
            targets.insert(address, target);
        }
    }
    let revision = Some(store.policy_revision());
    let renewed = revision != previous.policy_revision && policies::known(store, &frame.home);
    let same = targets.len() == old.targets.len()
        && targets.iter().all(|(address, target)| old.targets.get(address).is_some_and(|old| same_target(old, target)));
    if same && !renewed {
        return None;
    }
    let (policies, policy_revision) = match renewed {
        true => (Arc::new(policies::build(store, &frame.home)), revision),
        false => (Arc::clone(&old.policies), previous.policy_revision),
    };
    let parts = builder.finish();
    let snapshot = Arc::new(Snapshot { generation: old.generation + 1, targets, policies });
    Some(Built { snapshot, parts, policy_revision })
}

struct Builder<'a> {
    store: &'a Store,
    frame: &'a Frame,
    old: &'a Parts,
    new: Parts,
    /// Whether a Service was taken over unbuilt, with parts that are not in `new`.
    kept: bool,
}

impl Builder<'_> {
    fn target(&mut self, address: IpAddr, binding: &Binding, old: Option<&Target>) -> Option<Target> {
        match binding {
            Binding::Outside => Some(Target::Outside),
            Binding::Pod { namespace, kind, .. } => {
                let mut pods = self.store.world(namespace)?.pods_of(*kind).in_force();
                let (meta, pod) = pods.find(|(_, pod)| pod.addresses.contains(&address.to_canonical()))?;
                let name = ServiceRef::new(namespace.clone(), Arc::clone(&meta.name));
                let target = PodTarget { pod: name, identity: pod.identity.clone() };
                let old = old.and_then(|old| if let Target::Pod(old) = old { Some(old) } else { None });
                Some(Target::Pod(reuse(old, target)))
            }
            Binding::Service(service) if known(self.store, service, &self.frame.home.namespace) => {
                Some(Target::Service(self.service(service)?))
            }
            Binding::Service(service) => {
                // Something it depends on is still being listed: what was in force stays in force.
                let Some(Target::Service(old)) = old else { return None };
                self.kept = true;
                self.new.services.insert(service.clone(), Arc::clone(old));
                Some(Target::Service(Arc::clone(old)))
            }
        }
    }

    fn service(&mut self, name: &ServiceRef) -> Option<Arc<Service>> {
        if let Some(built) = self.new.services.get(name) {
            return Some(Arc::clone(built));
        }
        let world = self.store.world(&name.namespace)?;
        let record = world.services.get(&name.name)?;
        let ports = record.ports.iter().map(|port| self.port(name, port)).collect();
        let service = reuse(self.old.services.get(name), Service { name: name.clone(), ports });
        self.new.services.insert(name.clone(), Arc::clone(&service));
        Some(service)
    }

    fn port(&mut self, name: &ServiceRef, port: &ServicePort) -> Port {
        let (namespace, none) = (&self.frame.home.namespace, BTreeMap::new());
        let caller = Caller { namespace, labels: self.store.labels().unwrap_or(&none), port: port.number };
        let store = self.store;
        let mut resolve = |asked: &Asked, port| {
            let (service, subset) = (asked.service.clone(), asked.subset.clone());
            self.destination(Place { service, port, subset, policy: asked.policy })
        };
        let routes = routes(store, name, &caller, &mut resolve);
        let bytes = bytes(store, name, &caller, &mut resolve);
        let own = Place { service: name.clone(), port: port.number, subset: None, policy: TrafficPolicy::default() };
        let direct = self.destination(own);
        Port { number: port.number, protocol: port.protocol, routes, bytes, direct }
    }

    /// A host a route chose. Without a split on it, its own endpoints; with one, those of the backends that have any: a share
    /// without a ready endpoint is held by the others. The apex among its own backends means its endpoints, not the split again, and so
    /// does a subset of it. What the route asks of calls to the host holds for each backend.
    fn destination(&mut self, place: Place) -> Arc<Destination> {
        if let Some(built) = self.new.destinations.get(&place) {
            return Arc::clone(built);
        }
        let world = self.store.world(&place.service.namespace).filter(|_| place.subset.is_none());
        let split = world.and_then(|world| world.split_of(&place.service));
        let backends = match split {
            Some(split) => {
                let shares = split.backends.iter().map(|(name, weight)| {
                    let backend = self.backend(&Place { service: name.clone(), ..place.clone() })?;
                    Some((backend, *weight))
                });
                Split::new(shares.flatten())
            }
            None => self.backend(&place).map(Split::single),
        };
        let only = split
            .filter(|split| !split.matches.is_empty())
            .map(|split| Box::new(Only { matches: split.matches.clone(), others: self.backend(&place) }));
        let destination = Destination { service: place.service.clone(), subset: place.subset.clone(), backends, only };
        let destination = reuse(self.old.destinations.get(&place), destination);
        self.new.destinations.insert(place, Arc::clone(&destination));
        destination
    }

    /// A Service's own endpoints for a port of the same number, or a subset of them; `None` if it has no such port or no endpoint that
    /// takes traffic.
    fn backend(&mut self, place: &Place) -> Option<Arc<Backend>> {
        if let Some(built) = self.new.backends.get(place) {
            return Some(Arc::clone(built));
        }
        let Place { service, port: number, subset, policy } = place.clone();
        let world = self.store.world(&service.namespace)?;
        let record = world.services.get(&service.name)?;
        let port = record.port(number)?;
        let slices =
            world.slices.in_force().map(|(_, slice)| slice.as_ref()).filter(|slice| slice.service == service.name);
        let endpoints = endpoints((record, port), subset.as_deref(), slices, self.frame.prefer_ipv4);
        if endpoints.is_empty() {
            return None;
        }
        let identities = Arc::clone(&record.identities);
        let backend = Backend { service, subset, port: number, policy, identities, endpoints };
        let backend = reuse(self.old.backends.get(place), backend);
        self.new.backends.insert(place.clone(), Arc::clone(&backend));
        Some(backend)
    }

    fn finish(mut self) -> Parts {
        if self.kept {
            for (key, old) in &self.old.destinations {
                self.new.destinations.entry(key.clone()).or_insert_with(|| Arc::clone(old));
            }
            for (key, old) in &self.old.backends {
                self.new.backends.entry(key.clone()).or_insert_with(|| Arc::clone(old));
            }
        }
        self.new
    }
}

/// The old part if it is equal, so that pointers tell what changed.
fn reuse<T: PartialEq>(old: Option<&Arc<T>>, new: T) -> Arc<T> {
    match old {
        Some(old) if **old == new => Arc::clone(old),
        _ => Arc::new(new),
    }
}

fn same_target(old: &Target, new: &Target) -> bool {
    match (old, new) {
        (Target::Service(old), Target::Service(new)) => Arc::ptr_eq(old, new),
        (Target::Pod(old), Target::Pod(new)) => Arc::ptr_eq(old, new),
        (Target::Outside, Target::Outside) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
