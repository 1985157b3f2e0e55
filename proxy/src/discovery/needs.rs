//! What must be watched so that each dialled address can be decided: the Service itself, and every Service that its routes and
//! splits may send to. Follows the order of application: routes choose a host, the split on that host chooses a backend.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::Rule;

use super::addresses::{Addresses, Binding};
use super::object::Kind;
use super::plan::{Plan, PlanExt};
use super::specs::destinations;
use super::store::Store;

/// What a proxy watches whether or not it dials anything.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// Namespace of this pod.
    pub(crate) namespace: Namespace,
    /// Namespace of the control plane.
    pub(crate) system_namespace: Namespace,
}

/// Every watch that is needed now.
pub(crate) fn plan(store: &Store, addresses: &Addresses, home: &Home) -> Plan {
    let mut plan = Plan::new();
    plan.whole(&home.system_namespace, Kind::TrustBundle);
    plan.whole(&home.system_namespace, Kind::MeshPolicy);
    plan.whole(&home.namespace, Kind::MeshPolicy);
    plan.whole(&home.namespace, Kind::VirtualService);
    plan.whole(&home.namespace, Kind::TrafficSplit);
    for (_, binding) in addresses.iter() {
        match binding {
            Binding::Outside => {}
            Binding::Pod { namespace, kind, label } => plan.name(namespace, *kind, label),
            Binding::Service(service) => {
                let namespace = &service.namespace;
                plan.whole(namespace, Kind::VirtualService);
                plan.whole(namespace, Kind::TrafficSplit);
                let needed = needed(store, service, &home.namespace);
                needed.delegates.iter().for_each(|namespace| plan.whole(namespace, Kind::VirtualService));
                for ServiceRef { namespace, name } in needed.services {
                    plan.whole(&namespace, Kind::TrafficSplit);
                    plan.name(&namespace, Kind::MeshService, &name);
                    plan.name(&namespace, Kind::EndpointSlice, &name);
                }
            }
        }
    }
    plan.bounded()
}

/// Whether everything that decides about a Service has been listed. Until then its last good meaning stays in force: a half
/// known split would send its whole traffic to the half that is known.
pub(crate) fn known(store: &Store, service: &ServiceRef, home: &Namespace) -> bool {
    let routes = |namespace| store.world(namespace).is_some_and(|world| world.routes.initialised());
    let answers = |of: &ServiceRef| {
        store.world(&of.namespace).is_some_and(|world| {
            world.splits.initialised() && world.services.covers(&of.name) && world.slices.covers(&of.name)
        })
    };
    if !routes(&service.namespace) || !routes(home) {
        return false;
    }
    let needed = needed(store, service, home);
    needed.delegates.iter().all(routes)
        && (store.labels().is_some() || !needed.labels)
        && needed.services.iter().all(answers)
}

/// The addresses whose Service or pod is gone, or has another address now.
pub(crate) fn lost(store: &Store, addresses: &Addresses) -> Vec<IpAddr> {
    let gone = |(address, binding): (IpAddr, &Binding)| {
        let gone = match binding {
            Binding::Outside => false,
            Binding::Service(service) => store.world(&service.namespace).is_some_and(|world| {
                let here = |record: &Arc<_>| has(record, address);
                world.services.covers(&service.name) && !world.services.get(&service.name).is_some_and(here)
            }),
            Binding::Pod { namespace, kind, label } => store.world(namespace).is_some_and(|world| {
                let pods = world.pods_of(*kind);
                pods.covers(label) && !pods.in_force().any(|(_, pod)| pod.addresses.contains(&address.to_canonical()))
            }),
        };
        gone.then_some(address)
    };
    addresses.iter().filter_map(gone).collect()
}

fn has(record: &super::records::ServiceRecord, address: IpAddr) -> bool {
    record.cluster_ips.contains(&address.to_canonical())
}

/// What decides about a Service beside itself.
struct Needed {
    /// The Services whose endpoints may answer for it, itself included.
    services: BTreeSet<ServiceRef>,
    /// Namespaces of objects that its rules delegate to.
    delegates: BTreeSet<Namespace>,
    /// Whether the labels of the pod matter.
    labels: bool,
}

/// What decides about a Service for callers at home.
fn needed(store: &Store, service: &ServiceRef, home: &Namespace) -> Needed {
    let mut hosts = BTreeSet::from([service.clone()]);
    let mut delegates = BTreeSet::new();
    let mut labels = false;
    for route in store.routes_for(service, home) {
        let composed = store.composed(route);
        hosts.extend(destinations(&composed.rules).cloned());
        delegates.extend(composed.met.into_iter().map(|delegate| delegate.namespace));
        labels |= composed.rules.iter().any(Rule::asks_labels);
        for rule in route.bytes.rules() {
            hosts.extend(rule.destinations().map(|destination| destination.service.clone()));
            labels |= rule.asks_labels();
        }
    }
    let mut all = hosts.clone();
    for host in &hosts {
        if let Some(split) = store.world(&host.namespace).and_then(|world| world.split_of(host)) {
            all.extend(split.backends.iter().map(|(backend, _)| backend.clone()));
        }
    }
    Needed { services: all, delegates, labels }
}
