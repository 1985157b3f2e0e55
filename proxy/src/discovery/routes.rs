//! The route tables of one Service port, from the VirtualServices that name the Service among their hosts.

use std::sync::Arc;

use tulle_core::name::ServiceRef;
use tulle_core::route::bytes::ByteTable;
use tulle_core::route::{Caller, Destination as Asked, RouteTable, merge};
use tulle_core::snapshot::Destination;

use super::store::Store;

/// The rules of a host as this workload sees them on one port, with each destination resolved by `resolve(destination, port)`.
///
/// A VirtualService all of whose rules ask for other ports or callers still speaks for the host: requests to this port then have no
/// route, instead of going to the Service as if nobody had written anything. One that is not exported to this namespace says nothing.
pub(crate) fn routes(
    store: &Store,
    service: &ServiceRef,
    caller: &Caller<'_>,
    mut resolve: impl FnMut(&Asked, u16) -> Arc<Destination>,
) -> RouteTable<Arc<Destination>> {
    let speaking = store.routes_for(service, caller.namespace);
    let merged =
        merge(speaking.into_iter().map(|route| (route.rank.clone(), store.composed(route).rules.into_owned())));
    let here = merged.seen_by(caller);
    let port = caller.port;
    // The conditions on other ports and callers that are still in `merged` fit no request.
    let table = if here.is_empty() { merged } else { here };
    let rules = table.rules.into_iter().map(|rule| rule.map(|asked| resolve(&asked, target_port(store, &asked, port))));
    RouteTable { rules: rules.collect() }
}

/// The rules of a host for bytes, as [`routes`] are for requests. Where none is for this port and caller, connections go to the Service.
pub(crate) fn bytes(
    store: &Store,
    service: &ServiceRef,
    caller: &Caller<'_>,
    mut resolve: impl FnMut(&Asked, u16) -> Arc<Destination>,
) -> ByteTable<Arc<Destination>> {
    let speaking = store.routes_for(service, caller.namespace);
    let merged = ByteTable::merge(speaking.into_iter().map(|route| (route.rank.clone(), route.bytes.clone())));
    merged.seen_by(caller).map(|asked| resolve(&asked, target_port(store, &asked, caller.port)))
}

/// A destination without a port means the dialled one, or the only one the destination has (Istio: `destination.port`).
fn target_port(store: &Store, asked: &Asked, dialled: u16) -> u16 {
    let service = &asked.service;
    let only = || match store.world(&service.namespace)?.services.get(&service.name)?.ports.as_slice() {
        [port] => Some(port.number),
        _ => None,
    };
    asked.port.or_else(only).unwrap_or(dialled)
}
