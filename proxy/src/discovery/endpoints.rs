//! From EndpointSlices to the endpoints of one Service port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tulle_core::route::Subset;
use tulle_core::snapshot::{Endpoint, Transport};

use super::records::{EndpointRecord, EndpointState, ServicePort, ServiceRecord, SliceRecord};

/// The endpoints that take traffic for a port of a Service, or for a subset of it, in order of their addresses, each once.
///
/// A slice names its ports as the Service does, and that name, not the number, ties them (`targetPort` may differ by pod). One
/// family is used, IPv4 where there is a choice unless this pod has no IPv4 address. Without a ready endpoint those that still
/// serve while they end take over, as kube-proxy does (KEP-1669). A pod that is in two slices for a moment counts with the
/// better of its states. Of a subset all of this holds as if there were no other endpoints.
pub(crate) fn endpoints<'a>(
    (service, port): (&ServiceRecord, &ServicePort),
    subset: Option<&Subset>,
    slices: impl Iterator<Item = &'a SliceRecord>,
    prefer_ipv4: bool,
) -> Vec<Endpoint> {
    let mut candidates: BTreeMap<SocketAddr, &EndpointRecord> = BTreeMap::new();
    for slice in slices {
        let Some((_, target)) = slice.ports.iter().find(|(name, _)| *name == port.name) else { continue };
        let belongs =
            |endpoint: &&EndpointRecord| subset.is_none_or(|subset| service.is_in(subset, endpoint.pod.as_deref()));
        for endpoint in slice.endpoints.iter().filter(belongs) {
            let kept = candidates.entry(SocketAddr::new(endpoint.address, *target)).or_insert(endpoint);
            if endpoint.state < kept.state {
                *kept = endpoint;
            }
        }
    }
    let rank = |address: IpAddr, state: EndpointState| (state, address.is_ipv4() != prefer_ipv4);
    let Some(best) = candidates.iter().map(|(address, endpoint)| rank(address.ip(), endpoint.state)).min() else {
        return Vec::new();
    };
    candidates
        .into_iter()
        .filter(|(address, endpoint)| rank(address.ip(), endpoint.state) == best)
        .map(|(address, endpoint)| Endpoint { address, transport: transport(service, endpoint) })
        .collect()
}

/// Plaintext only where the operator says so; whatever is in doubt must prove its identity.
fn transport(service: &ServiceRecord, endpoint: &EndpointRecord) -> Transport {
    let plain = match &endpoint.pod {
        Some(pod) => service.is_outside(pod),
        None => service.external_endpoints,
    };
    if plain { Transport::Plain } else { Transport::Mesh }
}

#[cfg(test)]
mod tests;
