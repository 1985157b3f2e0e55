//! What the store keeps of each object: the meaning, not the manifest.

use std::net::IpAddr;
use std::sync::Arc;

use tulle_core::identity::SpiffeId;
use tulle_core::name::Namespace;
use tulle_core::route::Subset;
use tulle_core::sidecar::TRUST_BUNDLE_KEY;
use tulle_core::snapshot::Protocol;
use tulle_crds::mesh_service::{Workload, labels_of};
use tulle_crds::{MeshEndpointSpec, MeshServiceSpec, mesh_service};

use super::collection::Refused;
use super::object::{Body, EndpointSlice, Meta, SliceEndpoint, SlicePort};
use super::plan::SLICE_SERVICE_LABEL;

/// A kept meaning of an object.
pub(crate) trait Record: Sized {
    /// # Errors
    /// The object cannot be understood.
    fn parse(meta: &Meta, body: Body, context: &Context) -> Result<Self, Refused<Self>>;

    /// What could be read of an object, with what the last good version of it says of the rest.
    fn keeping(self, _last: &Self) -> Self {
        self
    }
}

/// What a spec is read against.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// Namespace of the object.
    pub(crate) namespace: &'a Namespace,
    /// Domain of the cluster, `cluster.local` where nobody chose another.
    pub(crate) cluster_domain: &'a str,
}

/// The answer to a body of another kind, which the watches cannot deliver.
pub(crate) fn other_kind<T>() -> Refused<T> {
    Refused::new("is of another kind")
}

/// The trust bundle.
#[derive(Debug)]
pub(crate) struct BundleRecord {
    pub(crate) pem: Arc<[u8]>,
}

impl Record for BundleRecord {
    fn parse(_: &Meta, body: Body, _: &Context) -> Result<Self, Refused<Self>> {
        let Body::TrustBundle(pem) = body else { return Err(other_kind()) };
        pem.map(|pem| Self { pem })
            .ok_or_else(|| Refused::new(format!("has no key {TRUST_BUNDLE_KEY:?}; is the operator running?")))
    }
}

/// What the mesh knows of a Service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServiceRecord {
    pub(crate) cluster_ips: Vec<IpAddr>,
    pub(crate) ports: Vec<ServicePort>,
    /// Who may answer.
    pub(crate) identities: Arc<[SpiffeId]>,
    /// Names of pods without a proxy, sorted.
    pub(crate) outside: Vec<String>,
    /// Whether endpoints that are no pods are outside the mesh by design.
    pub(crate) external_endpoints: bool,
    /// Labels of its pods, sorted by their names.
    pub(crate) workloads: Vec<Workload>,
}

/// One port of a Service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub(crate) name: String,
    pub(crate) number: u16,
    pub(crate) protocol: Protocol,
}

impl Record for ServiceRecord {
    fn parse(_: &Meta, body: Body, _: &Context) -> Result<Self, Refused<Self>> {
        match body {
            Body::MeshService(spec) => spec.and_then(Self::of).map_err(Refused::new),
            _ => Err(other_kind()),
        }
    }
}

impl ServiceRecord {
    fn of(spec: MeshServiceSpec) -> Result<Self, String> {
        let mut outside = spec.outside;
        outside.sort_unstable();
        let mut workloads = spec.workloads;
        workloads.sort_unstable_by(|one, other| one.pods.cmp(&other.pods));
        Ok(Self {
            cluster_ips: addresses("spec.clusterIPs", &spec.cluster_ips)?,
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            identities: spec
                .identities
                .iter()
                .enumerate()
                .map(|(n, id)| identity(&format!("spec.identities[{n}]"), id))
                .collect::<Result<_, _>>()?,
            outside,
            external_endpoints: spec.external_endpoints,
            workloads,
        })
    }

    /// The port with this number.
    pub(crate) fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// Whether an endpoint with this pod behind it belongs to a subset.
    pub(crate) fn is_in(&self, subset: &Subset, pod: Option<&str>) -> bool {
        subset.takes(pod, pod.and_then(|pod| labels_of(&self.workloads, pod)))
    }

    /// Whether a pod without a proxy has this name.
    pub(crate) fn is_outside(&self, pod: &str) -> bool {
        self.outside.binary_search_by(|name| name.as_str().cmp(pod)).is_ok()
    }
}

impl From<mesh_service::ServicePort> for ServicePort {
    fn from(port: mesh_service::ServicePort) -> Self {
        let protocol = match port.protocol {
            mesh_service::Protocol::Http => Protocol::Http,
            mesh_service::Protocol::Http2 => Protocol::Http2,
            mesh_service::Protocol::Grpc => Protocol::Grpc,
            mesh_service::Protocol::Tcp => Protocol::Tcp,
            mesh_service::Protocol::Tls => Protocol::Tls,
            mesh_service::Protocol::Detect => Protocol::Detect,
        };
        Self { name: port.name, number: port.port, protocol }
    }
}

/// A meshed pod.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PodRecord {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) identity: SpiffeId,
}

impl Record for PodRecord {
    fn parse(_: &Meta, body: Body, _: &Context) -> Result<Self, Refused<Self>> {
        match body {
            Body::MeshEndpoint(spec) => spec.and_then(|spec| Self::of(&spec)).map_err(Refused::new),
            _ => Err(other_kind()),
        }
    }
}

impl PodRecord {
    fn of(spec: &MeshEndpointSpec) -> Result<Self, String> {
        Ok(Self { addresses: addresses("spec.ips", &spec.ips)?, identity: identity("spec.identity", &spec.identity)? })
    }
}

/// One EndpointSlice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SliceRecord {
    /// The Service it belongs to.
    pub(crate) service: Arc<str>,
    /// TCP ports by the name the Service gives them.
    pub(crate) ports: Vec<(String, u16)>,
    pub(crate) endpoints: Vec<EndpointRecord>,
}

/// One endpoint of a slice that may receive traffic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndpointRecord {
    pub(crate) address: IpAddr,
    pub(crate) state: EndpointState,
    /// The pod behind it; an endpoint without one was made by hand or by another controller.
    pub(crate) pod: Option<Arc<str>>,
}

/// Whether an endpoint takes traffic. Better comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndpointState {
    /// `ready`.
    Ready,
    /// `serving` and `terminating`: takes traffic only while no endpoint is ready (KEP-1669).
    Terminating,
}

impl Record for SliceRecord {
    fn parse(_: &Meta, body: Body, _: &Context) -> Result<Self, Refused<Self>> {
        match body {
            Body::EndpointSlice(slice) => Self::of(*slice).map_err(Refused::new),
            _ => Err(other_kind()),
        }
    }
}

impl SliceRecord {
    /// What an EndpointSlice means.
    ///
    /// # Errors
    /// It names no Service.
    pub(crate) fn of(slice: EndpointSlice) -> Result<Self, String> {
        let labels = slice.metadata.labels.unwrap_or_default();
        let service = labels.get(SLICE_SERVICE_LABEL).ok_or_else(|| format!("has no label {SLICE_SERVICE_LABEL}"))?;
        Ok(Self {
            service: Arc::from(service.as_str()),
            ports: slice.ports.into_iter().filter_map(tcp_port).collect(),
            endpoints: slice.endpoints.into_iter().filter_map(EndpointRecord::of).collect(),
        })
    }
}

/// A port without a number means "all ports" and belongs to no Service; other protocols than TCP are not carried.
fn tcp_port(port: SlicePort) -> Option<(String, u16)> {
    let tcp = port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    tcp.then_some((port.name.unwrap_or_default(), port.port?))
}

impl EndpointRecord {
    /// Unknown conditions are read as the API documents them: ready unless said otherwise, serving as ready, not terminating.
    /// Of several addresses the first is used, as kube-proxy does. A host name (`addressType: FQDN`) is no address.
    fn of(endpoint: SliceEndpoint) -> Option<Self> {
        let conditions = endpoint.conditions;
        let ready = conditions.ready.unwrap_or(true);
        let serving = conditions.serving.unwrap_or(ready);
        let state = match (ready, serving && conditions.terminating.unwrap_or(false)) {
            (true, _) => EndpointState::Ready,
            (false, true) => EndpointState::Terminating,
            (false, false) => return None,
        };
        let address = endpoint.addresses.first()?.parse().ok()?;
        let pod = endpoint.target_ref.filter(|target| target.kind == "Pod").map(|target| Arc::from(target.name));
        Some(Self { address, state, pod })
    }
}

fn addresses(path: &str, texts: &[String]) -> Result<Vec<IpAddr>, String> {
    let parse =
        |(n, text): (usize, &String)| text.parse().map_err(|_| format!("{path}[{n}]: {text:?} is no IP address"));
    texts.iter().enumerate().map(parse).collect()
}

fn identity(path: &str, text: &str) -> Result<SpiffeId, String> {
    text.parse().map_err(|error| format!("{path}: {text:?}: {error}"))
}
