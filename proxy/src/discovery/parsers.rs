//! Discovery for the fuzz targets: what calls to a Service lead to, of objects as an API server may send them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::Rule;
use tulle_core::route::bytes::ByteRule;
use tulle_core::snapshot::{Target, Transport};

use super::addresses::{Addresses, Binding};
use super::build::{Built, Frame, build};
use super::needs::Home;
use super::object::{Kind, Scope, decode};
use super::plan::Selection;
use super::store::{Change, Store};

/// The namespace of all objects, and the name of the Service that is called.
const NAMESPACE: &str = "shop";
/// See [`NAMESPACE`].
const SERVICE: &str = "web";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));

/// What is taken, by number.
const KINDS: [Kind; 5] =
    [Kind::MeshService, Kind::EndpointSlice, Kind::VirtualService, Kind::TrafficSplit, Kind::MeshEndpoint];

/// A cluster as one proxy knows it.
#[derive(Debug)]
pub struct Cluster {
    store: Store,
    addresses: Addresses,
    frame: Frame,
    built: Built,
}

/// Endpoints that a call may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The Service's port.
    pub port: u16,
    /// In their order.
    pub endpoints: Vec<SocketAddr>,
    /// How many identities may answer.
    pub identities: usize,
    /// Whether one of them is reached in plaintext.
    pub plain: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        let home = Home { namespace: Namespace::from(NAMESPACE), system_namespace: Namespace::from("tulle-system") };
        let frame = Frame { home, prefer_ipv4: true };
        let (mut store, mut addresses) = (Store::new("cluster.local".into()), Addresses::default());
        for kind in KINDS {
            store.take(&scope(kind), Change::Listed(Selection::All, Vec::new()));
        }
        addresses.bind(ADDRESS, Binding::Service(ServiceRef::new(NAMESPACE, SERVICE)), true, Duration::ZERO);
        let built = Built::nothing(&frame);
        Self { store, addresses, frame, built }
    }
}

impl Cluster {
    /// Takes an object, of a kind by number. `None`: a watch would not even see an object in it; otherwise what was complained about.
    pub fn take(&mut self, kind: u8, object: Value) -> Option<Vec<String>> {
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let object = decode(kind, object).ok()?;
        let complaints = self.store.take(&scope(kind), Change::Applied(object));
        Some(complaints.into_iter().map(|complaint| complaint.error.to_string()).collect())
    }

    /// Publishes what is known. Whether it is news.
    pub fn publish(&mut self) -> bool {
        let built = build(&self.store, &self.addresses, &self.frame, &self.built);
        built.map(|built| self.built = built).is_some()
    }

    /// Every backend of the Service that a rule, a split or nothing may choose.
    pub fn reached(&self) -> Vec<Reached> {
        let Some(Target::Service(service)) = self.built.snapshot.targets.get(&ADDRESS) else { return Vec::new() };
        let destinations = service.ports.iter().flat_map(|port| {
            let routed = port.routes.rules.iter().flat_map(Rule::destinations);
            routed.chain(port.bytes.rules().flat_map(ByteRule::destinations)).chain([&port.direct])
        });
        let backends = destinations.flat_map(|to| {
            let others = to.only.iter().filter_map(|only| only.others.as_ref());
            to.backends.iter().flat_map(|split| split.entries().map(|(backend, _)| backend)).chain(others)
        });
        let reached = backends.map(|backend| Reached {
            port: backend.port,
            endpoints: backend.endpoints.iter().map(|endpoint| endpoint.address).collect(),
            identities: backend.identities.len(),
            plain: backend.endpoints.iter().any(|endpoint| endpoint.transport == Transport::Plain),
        });
        reached.collect()
    }
}

fn scope(kind: Kind) -> Scope {
    Scope::new(&Namespace::from(NAMESPACE), kind)
}
