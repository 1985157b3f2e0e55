//! A mesh for tests: proxies as data threads of their own, real sockets, real mutual TLS, and a world written by hand.
//!
//! ```text
//! test ──▶ service ▷ caller's proxy ══ mTLS ══▷ callees' proxies ──▶ applications of the test
//! ```

pub(crate) mod http;
pub(crate) mod rules;
pub(crate) mod view;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tulle_core::authz::{self, Authorization, Mtls, MtlsMode, Policy, PolicyName, PolicySet, Workload};
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::retry::RetryPolicy;
use tulle_core::route::bytes::ByteTable;
use tulle_core::route::{Action, Filters, Match, RouteTable, Rule, TrafficPolicy};
use tulle_core::sidecar::env;
use tulle_core::snapshot::{
    Backend, Destination, Endpoint, Only, Port, Protocol, Service, Snapshot, Target, Transport,
};
use tulle_core::split::Split;

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::discovery;
use crate::drain::Drain;
use crate::metrics::Shard;
use crate::spans::Spans;
use crate::tls::TlsContext;
use crate::tls::testing::TestCa;
use crate::worker::{Shared, Worker};
use crate::{inbound, outbound};

const CALLER: &str = "spiffe://cluster.local/ns/shop/sa/caller";
pub(crate) const CALLEE: &str = "spiffe://cluster.local/ns/shop/sa/web";
/// The cluster IP, and the pods' addresses.
const SERVICE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 10));
const CALLER_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
const CALLEE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 12));

/// Bytes of the future a function gives.
pub(crate) fn future_bytes<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
    size_of::<F>()
}

/// What a rule of the Service says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
}

/// A Service with one endpoint for each application, and a caller. Ends with its drop.
pub(crate) struct Mesh {
    /// What the caller's application dials.
    pub(crate) service: SocketAddr,
    pub(crate) caller: Proxy,
    pub(crate) callees: Vec<Proxy>,
}

/// A running data thread.
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Shard>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Mesh {
    /// A mesh in front of these applications.
    pub(crate) fn new(applications: &[SocketAddr], rules: Option<Rules>) -> Mesh {
        Self::guarded(applications, rules, PolicySet::default())
    }

    /// A mesh whose applications have these policies.
    pub(crate) fn guarded(applications: &[SocketAddr], rules: Option<Rules>, policies: PolicySet) -> Mesh {
        Self::in_world(applications, policies, |service, endpoints| world(service, endpoints, rules))
    }

    /// A mesh with these rules, which send to applications by their index: each is a destination of its own.
    pub(crate) fn routed(applications: &[SocketAddr], rules: Vec<Rule<usize>>) -> Mesh {
        Self::in_world(applications, PolicySet::default(), |service, endpoints| routed(service, endpoints, rules))
    }

    /// A mesh whose Service is declared to carry `protocol`, with these rules for bytes, which send to applications as those of
    /// [`routed`](Self::routed) do. What fits none goes to the first.
    pub(crate) fn passing(applications: &[SocketAddr], protocol: Protocol, rules: ByteTable<usize>) -> Mesh {
        Self::in_world(applications, PolicySet::default(), |service, endpoints| {
            let destinations = destinations(service, endpoints);
            let bytes = rules.map(|index| Arc::clone(&destinations[index]));
            let (routes, direct) = (RouteTable::default(), Arc::clone(&destinations[0]));
            world_of(service.ip(), Port { number: service.port(), protocol, routes, bytes, direct })
        })
    }

    /// A mesh whose Service is split: requests that fit go to the second application, the others to the first, which is the Service.
    pub(crate) fn split(applications: &[SocketAddr], matches: Vec<Match>) -> Mesh {
        Self::in_world(applications, PolicySet::default(), |service, endpoints| split(service, endpoints, matches))
    }

    /// A mesh whose caller has no certificate yet.
    pub(crate) fn without_certificate(application: SocketAddr) -> Mesh {
        let none = |_: &TestCa| TlsContext::new("cluster.local".parse().unwrap());
        let world = |service, endpoints| world(service, endpoints, None);
        Self::build(&[application], (PolicySet::default(), None), none, world)
    }

    /// A mesh with these rules, as [`Self::routed`], all of whose proxies record spans.
    pub(crate) fn traced(applications: &[SocketAddr], rules: Vec<Rule<usize>>, spans: &Arc<Spans>) -> Mesh {
        let (given, tls) = ((PolicySet::default(), Some(spans)), |ca: &TestCa| ca.context(CALLER));
        Self::build(applications, given, tls, |service, endpoints| routed(service, endpoints, rules))
    }

    /// A mesh whose caller knows what `world` says of the Service's address and these endpoints.
    pub(crate) fn in_world(
        applications: &[SocketAddr],
        policies: PolicySet,
        world: impl FnOnce(SocketAddr, Vec<Endpoint>) -> Snapshot,
    ) -> Mesh {
        Self::build(applications, (policies, None), |ca| ca.context(CALLER), world)
    }

    fn build(
        applications: &[SocketAddr],
        (policies, spans): (PolicySet, Option<&Arc<Spans>>),
        caller_tls: impl FnOnce(&TestCa) -> Arc<TlsContext>,
        world: impl FnOnce(SocketAddr, Vec<Endpoint>) -> Snapshot,
    ) -> Mesh {
        let policies = Arc::new(policies);
        let ca = TestCa::new("test");
        let mut callees = Vec::new();
        let mut endpoints = Vec::new();
        for application in applications {
            let listener = TcpListener::bind((CALLEE_IP, 0)).unwrap();
            let own = listener.local_addr().unwrap();
            endpoints.push(Endpoint { address: own, transport: Transport::Mesh });
            let config = config(CALLEE_IP, (env::LISTEN_INBOUND, &format!("{own}={application}")));
            let world = Snapshot { generation: 1, targets: HashMap::default(), policies: Arc::clone(&policies) };
            let listeners = (None, Some(listener));
            callees.push(Proxy::start("inbound", config, (ca.context(CALLEE), spans), world, listeners));
        }
        let listener = TcpListener::bind((SERVICE_IP, 0)).unwrap();
        let service = listener.local_addr().unwrap();
        let config = config(CALLER_IP, (env::LISTEN_OUTBOUND, &service.to_string()));
        let world = world(service, endpoints);
        let caller = Proxy::start("outbound", config, (caller_tls(&ca), spans), world, (Some(listener), None));
        Mesh { service, caller, callees }
    }
}

impl Proxy {
    /// A callee's proxy that is dialled at an address which is not its pod's.
    pub(crate) fn astray() -> (SocketAddr, Proxy) {
        let listener = TcpListener::bind((SERVICE_IP, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let config = config(CALLEE_IP, (env::LISTEN_INBOUND, &format!("{address}={address}")));
        let world = Snapshot { generation: 1, targets: HashMap::default(), policies: Arc::default() };
        let tls = TestCa::new("test").context(CALLEE);
        (address, Proxy::start("inbound", config, (tls, None), world, (None, Some(listener))))
    }

    fn start(
        name: &str,
        config: Config,
        (tls, spans): (Arc<TlsContext>, Option<&Arc<Spans>>),
        world: Snapshot,
        (outbound, inbound): (Option<TcpListener>, Option<TcpListener>),
    ) -> Proxy {
        let shared = shared(config, (tls, spans), world);
        let (metrics, stop) = (Arc::<Shard>::default(), CancellationToken::new());
        let thread = {
            let (shared, metrics, stop) = (Arc::clone(&shared), Arc::clone(&metrics), stop.clone());
            std::thread::Builder::new().name(name.to_owned()).spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                runtime.enable_all().build_local(Default::default()).unwrap().block_on(async move {
                    let worker = Worker::new(shared, metrics);
                    if let Some(listener) = outbound {
                        tokio::task::spawn_local(outbound::run(Rc::clone(&worker), listen(listener)));
                    }
                    if let Some(listener) = inbound {
                        tokio::task::spawn_local(inbound::run(worker, listen(listener)));
                    }
                    stop.cancelled().await;
                });
            })
        };
        Proxy { shared, metrics, stop, thread: Some(thread.unwrap()) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A caller's proxy on the current local runtime, and an undeclared port of a Service whose endpoint is `application`, outside the mesh.
pub(crate) fn undeclared(application: SocketAddr) -> (Rc<Worker>, SocketAddr) {
    let listener = TcpListener::bind((SERVICE_IP, 0)).unwrap();
    let service = listener.local_addr().unwrap();
    let config = config(CALLER_IP, (env::LISTEN_OUTBOUND, &service.to_string()));
    let endpoint = Endpoint { address: application, transport: Transport::Plain };
    let (routes, bytes) = (RouteTable::default(), ByteTable::default());
    let direct = direct(service, vec![endpoint], CALLEE);
    let port = Port { number: service.port(), protocol: Protocol::Detect, routes, bytes, direct };
    let world = world_of(service.ip(), port);
    let tls = TlsContext::new("cluster.local".parse().unwrap());
    let worker = Worker::new(shared(config, (tls, None), world), Arc::default());
    tokio::task::spawn_local(outbound::run(Rc::clone(&worker), listen(listener)));
    (worker, service)
}

/// A callee's proxy on the current local runtime, and where callers dial it: under STRICT, or where plaintext may come but bytes may not.
pub(crate) fn wary(mode: MtlsMode) -> (Rc<Worker>, SocketAddr) {
    let mtls = Some(Mtls { mode: Some(mode), ports: BTreeMap::new() });
    let nobody = Authorization { action: authz::Action::Allow, rules: Vec::new() };
    callee(None, policies(mtls, Some(nobody).filter(|_| mode == MtlsMode::Permissive)))
}

/// The callee's side of a proxy that lets everybody call this application, and where it is called.
pub(crate) fn trusting(application: SocketAddr) -> (Rc<Worker>, SocketAddr) {
    callee(Some(application), PolicySet::default())
}

/// `None`: there is no application.
fn callee(application: Option<SocketAddr>, policies: PolicySet) -> (Rc<Worker>, SocketAddr) {
    let listener = TcpListener::bind((CALLEE_IP, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let application = application.unwrap_or(address);
    let config = config(CALLEE_IP, (env::LISTEN_INBOUND, &format!("{address}={application}")));
    let world = Snapshot { generation: 1, targets: HashMap::default(), policies: Arc::new(policies) };
    let tls = TestCa::new("test").context(CALLEE);
    let worker = Worker::new(shared(config, (tls, None), world), Arc::default());
    tokio::task::spawn_local(inbound::run(Rc::clone(&worker), listen(listener)));
    (worker, address)
}

fn shared(config: Config, (tls, spans): (Arc<TlsContext>, Option<&Arc<Spans>>), world: Snapshot) -> Arc<Shared> {
    let (discovery, _) = discovery::new(&config);
    discovery.snapshot().store(Arc::new(world));
    let (access_log, spans) = (AccessLog::default(), spans.cloned());
    Arc::new(Shared { config, discovery, tls, drain: Drain::default(), access_log, spans })
}

fn listen(listener: TcpListener) -> tokio::net::TcpListener {
    listener.set_nonblocking(true).unwrap();
    tokio::net::TcpListener::from_std(listener).unwrap()
}

fn world(service: SocketAddr, endpoints: Vec<Endpoint>, rules: Option<Rules>) -> Snapshot {
    let direct = direct(service, endpoints, CALLEE);
    let rules = rules.into_iter().map(|Rules { timeout, retry }| Rule {
        name: "test".into(),
        matches: vec![],
        within: Vec::new(),
        action: Action::to(Arc::clone(&direct)),
        filters: Filters { timeout, retry, ..Filters::default() },
    });
    let routes = RouteTable { rules: rules.collect() };
    snapshot(service, routes, direct)
}

/// The Service with these endpoints, all of which must be `identity`.
pub(crate) fn direct(service: SocketAddr, endpoints: Vec<Endpoint>, identity: &str) -> Arc<Destination> {
    called(service, endpoints, identity, TrafficPolicy::default())
}

/// The same, called by a policy.
pub(crate) fn called(
    service: SocketAddr,
    endpoints: Vec<Endpoint>,
    identity: &str,
    policy: TrafficPolicy,
) -> Arc<Destination> {
    let name = ServiceRef::new("shop", "web");
    let identities = Arc::from([identity.parse().unwrap()]);
    let backend = Backend { service: name.clone(), subset: None, port: service.port(), policy, identities, endpoints };
    Arc::new(Destination { service: name, subset: None, backends: Some(Split::single(Arc::new(backend))), only: None })
}

/// Policies of the callees: one with these rules.
pub(crate) fn authorized(action: authz::Action, rules: Vec<authz::Rule>) -> PolicySet {
    policies(None, Some(Authorization { action, rules }))
}

fn policies(mtls: Option<Mtls>, authorization: Option<Authorization>) -> PolicySet {
    let name = PolicyName::new("shop", "test");
    let policy = Policy { name, created: 0, selector: None, mtls, authorization, unreadable: false };
    let workload = Workload { namespace: Namespace::new("shop"), labels: BTreeMap::new() };
    PolicySet::new([policy], &workload, &Namespace::new("tulle-system"))
}

/// A backend for each endpoint, `app-0` and so on.
fn backends(service: SocketAddr, endpoints: Vec<Endpoint>) -> impl Iterator<Item = Arc<Backend>> {
    endpoints.into_iter().enumerate().map(move |(index, endpoint)| {
        let name = ServiceRef::new("shop", format!("app-{index}").as_str());
        let (policy, identities) = (TrafficPolicy::default(), Arc::from([CALLEE.parse().unwrap()]));
        Arc::new(Backend {
            service: name,
            subset: None,
            port: service.port(),
            policy,
            identities,
            endpoints: vec![endpoint],
        })
    })
}

fn split(service: SocketAddr, endpoints: Vec<Endpoint>, matches: Vec<Match>) -> Snapshot {
    let mut backends = backends(service, endpoints);
    let (others, chosen) = (backends.next(), backends.next().unwrap());
    let only = Some(Box::new(Only { matches, others }));
    let backends = Some(Split::single(chosen));
    let direct = Arc::new(Destination { service: ServiceRef::new("shop", "web"), subset: None, backends, only });
    snapshot(service, RouteTable::default(), direct)
}

/// A destination for each endpoint.
fn destinations(service: SocketAddr, endpoints: Vec<Endpoint>) -> Vec<Arc<Destination>> {
    let destination = |backend: Arc<Backend>| {
        let name = backend.service.clone();
        Arc::new(Destination { service: name, subset: None, backends: Some(Split::single(backend)), only: None })
    };
    backends(service, endpoints).map(destination).collect()
}

fn routed(service: SocketAddr, endpoints: Vec<Endpoint>, rules: Vec<Rule<usize>>) -> Snapshot {
    let destinations = destinations(service, endpoints);
    let rules = rules.into_iter().map(|rule| rule.map(|index| Arc::clone(&destinations[index])));
    snapshot(service, RouteTable { rules: rules.collect() }, Arc::clone(&destinations[0]))
}

/// A world of one Service, declared as HTTP/2.
pub(crate) fn snapshot(
    service: SocketAddr,
    routes: RouteTable<Arc<Destination>>,
    direct: Arc<Destination>,
) -> Snapshot {
    let (number, bytes) = (service.port(), ByteTable::default());
    world_of(service.ip(), Port { number, protocol: Protocol::Http2, routes, bytes, direct })
}

fn world_of(address: IpAddr, port: Port) -> Snapshot {
    let name = ServiceRef::new("shop", "web");
    let target = Target::Service(Arc::new(Service { name, ports: vec![port] }));
    Snapshot {
        generation: 1,
        targets: [(address, target)].into_iter().collect(),
        policies: Arc::new(PolicySet::default()),
    }
}

fn config(ip: IpAddr, listens: (&str, &str)) -> Config {
    let pairs = [
        (env::POD_NAME, "pod"),
        (env::POD_NAMESPACE, "shop"),
        (env::POD_IPS, &ip.to_string()),
        (env::SERVICE_ACCOUNT, "default"),
        (env::SYSTEM_NAMESPACE, "tulle-system"),
        (env::TRUST_DOMAIN, "cluster.local"),
        (env::ISSUER, "localhost:15012"),
        (env::DEFAULT_MTLS, "PERMISSIVE"),
        (env::CAPTURE, "listen"),
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
        listens,
    ];
    Config::from_pairs(&pairs).unwrap()
}
