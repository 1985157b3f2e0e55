//! The immutable world a request sees. Built by pure functions from watched objects, swapped whole: a request never sees half a change.
//!
//! Order of application: the dialled address chooses the [`Service`], its routes choose a [`Destination`], the split of that
//! destination chooses a [`Backend`], and the data thread balances over the backend's [`Endpoint`]s.
//! Parts that did not change keep their `Arc`, so that data threads can key their own state by pointer.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::authz::PolicySet;
use crate::identity::SpiffeId;
use crate::name::ServiceRef;
use crate::route::bytes::ByteTable;
use crate::route::{Match, RequestView, RouteTable, Subset, TrafficPolicy};
use crate::split::Split;

/// Everything the data path decides from.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows by one with each published snapshot.
    pub generation: u64,
    /// What is known of each address that was asked for. An absent address is unknown, not outside the mesh.
    pub targets: HashMap<IpAddr, Target, RandomState>,
    /// The policies that select this workload.
    pub policies: Arc<PolicySet>,
}

/// What an address stands for.
#[derive(Clone, Debug)]
pub enum Target {
    /// A cluster IP of a Service.
    Service(Arc<Service>),
    /// The address of a meshed pod, dialled directly or through a headless Service.
    Pod(Arc<PodTarget>),
    /// An address the mesh knows nothing of: connections pass through untouched.
    Outside,
}

/// A Service as a caller sees it.
#[derive(Debug, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceRef,
    /// Its ports. A dialled port that is not among them has no endpoint.
    pub ports: Vec<Port>,
}

impl Service {
    /// The port with this number, if the Service has it.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|port| port.number == number)
    }
}

/// One port of a Service with all that was configured for it.
#[derive(Debug, PartialEq)]
pub struct Port {
    /// The Service's port, as dialled.
    pub number: u16,
    /// What the port was declared to carry.
    pub protocol: Protocol,
    /// HTTP rules of the host's VirtualServices, in order of precedence. Empty: every request goes to `direct`.
    pub routes: RouteTable<Arc<Destination>>,
    /// Their rules for connections that are not HTTP.
    pub bytes: ByteTable<Arc<Destination>>,
    /// The Service itself, with the TrafficSplit on it applied: where requests go without routes, and connections that fit no rule.
    pub direct: Arc<Destination>,
}

/// A host a route chose, with the TrafficSplit on that host applied unless the route asked for a subset of it.
#[derive(Debug, PartialEq)]
pub struct Destination {
    /// The host.
    pub service: ServiceRef,
    /// Which of its endpoints; `None`: all.
    pub subset: Option<Arc<Subset>>,
    /// Backends by weight, those without a ready endpoint left out: their share is held by the others. `None`: no endpoint at all.
    pub backends: Option<Split<Arc<Backend>>>,
    /// Which requests the split is for; `None`: all.
    pub only: Option<Box<Only>>,
}

/// Requests a TrafficSplit is for, and who answers the others.
#[derive(Debug, PartialEq)]
pub struct Only {
    /// Conditions, any of which is enough.
    pub matches: Vec<Match>,
    /// The host itself, unsplit; `None`: it has no endpoint.
    pub others: Option<Arc<Backend>>,
}

impl Only {
    /// Whether the split is for this request.
    #[must_use]
    pub fn takes(&self, request: &impl RequestView) -> bool {
        self.matches.iter().any(|condition| condition.fits(request))
    }
}

/// One Service's endpoints for one port.
#[derive(Debug, PartialEq, Eq)]
pub struct Backend {
    /// The Service whose endpoints these are.
    pub service: ServiceRef,
    /// The subset of its endpoints that these are; `None`: all.
    pub subset: Option<Arc<Subset>>,
    /// The Service's port.
    pub port: u16,
    /// How its endpoints are chosen and called.
    pub policy: TrafficPolicy,
    /// Who may answer: a peer with any other identity is refused before a byte of the request is sent.
    pub identities: Arc<[SpiffeId]>,
    /// Ready endpoints, never empty.
    pub endpoints: Vec<Endpoint>,
}

impl Backend {
    /// The name in metrics: the Service's, and after a `/` the subset's.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        label(&self.service, self.subset.as_deref())
    }
}

/// The name in logs: `namespace/service`, and after another `/` the subset's.
impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        self.subset.as_ref().map_or(Ok(()), |subset| write!(f, "/{}", subset.name))
    }
}

impl Destination {
    /// What stands for its backend in metrics where none could be chosen.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        label(&self.service, self.subset.as_deref())
    }
}

fn label(service: &ServiceRef, subset: Option<&Subset>) -> Arc<str> {
    match subset {
        None => Arc::clone(&service.name),
        Some(subset) => format!("{}/{}", service.name, subset.name).into(),
    }
}

/// One address that answers for a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Pod address and target port.
    pub address: SocketAddr,
    /// How to reach it.
    pub transport: Transport,
}

/// How an endpoint is reached. There is no fallback from one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Mutual TLS; the peer's proxy answers.
    Mesh,
    /// Plaintext: the operator lists this endpoint as outside the mesh.
    Plain,
}

/// A meshed pod dialled by its own address.
#[derive(Debug, PartialEq, Eq)]
pub struct PodTarget {
    /// `namespace/pod`, as a backend name in metrics and logs.
    pub pod: ServiceRef,
    /// Who must answer.
    pub identity: SpiffeId,
}

/// What a port carries: `appProtocol`, then the port name's prefix, then detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/2 where the client opens with its preface.
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC: HTTP/2, and errors of the mesh as gRPC status.
    Grpc,
    /// Bytes.
    Tcp,
    /// TLS of the application itself: bytes.
    Tls,
    /// Undeclared: whichever side speaks first decides.
    Detect,
}
