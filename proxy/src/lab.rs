//! Both sidecars of a call in one thread, without control plane: what the guard of the data path's cost runs.
//!
//! Certificates, the snapshot and the policies are made here; everything a request then passes is the shipped code. Callers, proxies
//! and application talk over loopback within one thread, so the order of events, and with it the count of instructions, repeats.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tulle_core::authz::{
    Action, Authorization, Mtls, MtlsMode, Policy, PolicyName, PolicySet, Rule as Allow, Source, Workload,
};
use tulle_core::identity::SpiffeId;
use tulle_core::name::{Namespace, ServiceAccountRef, ServiceRef};
use tulle_core::route::bytes::ByteTable;
use tulle_core::route::{self, Filters, HeaderMatch, Match, RouteTable, Rule, StringMatch, TrafficPolicy};
use tulle_core::sidecar::env;
use tulle_core::snapshot::{Backend, Destination, Endpoint, Port, Protocol, Service, Snapshot, Target, Transport};
use tulle_core::split::{Split, Weight};

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::discovery;
use crate::drain::Drain;
use crate::metrics::Shard;
use crate::tls::testing::TestCa;
use crate::worker::{Shared, Worker};
use crate::{inbound, listen, outbound};

const CALLER: &str = "spiffe://cluster.local/ns/shop/sa/web";
const CALLEE: &str = "spiffe://cluster.local/ns/shop/sa/catalog";
/// Addresses of the lab's two pods and of the Service between them.
const CALLER_IP: &str = "127.0.1.1";
const CALLEE_IP: &str = "127.0.1.2";
const SERVICE_IP: &str = "127.0.1.3";

/// Starts both proxies in front of `application` on the current local runtime; the Service's address, to be dialled.
///
/// Features that a request passes: a header rule that does not fit, a prefix rule that does, a weighted split of two backends, mutual
/// TLS, a STRICT policy with an ALLOW rule, metrics.
///
/// # Errors
/// The addresses cannot be listened on.
pub async fn start(application: SocketAddr) -> anyhow::Result<SocketAddr> {
    let ca = TestCa::new("lab");
    let (service, pod) = (free(SERVICE_IP).await?, free(CALLEE_IP).await?);
    let listens = format!("{pod}={application}");
    let caller = config(CALLER_IP, "web", &[(env::LISTEN_OUTBOUND, &service.to_string())])?;
    let callee = config(CALLEE_IP, "catalog", &[(env::LISTEN_INBOUND, &listens)])?;
    let routes = Snapshot {
        generation: 1,
        targets: [(service.ip(), Target::Service(Arc::new(catalog(service.port(), pod)?)))].into_iter().collect(),
        policies: Arc::default(),
    };
    let policies = Snapshot { generation: 1, targets: HashMap::default(), policies: Arc::new(policies()) };
    let caller = worker(caller, &ca, CALLER, routes);
    let callee = worker(callee, &ca, CALLEE, policies);
    for listener in listen::listen_at([&pod])? {
        tokio::task::spawn_local(inbound::run(Rc::clone(&callee), listener));
    }
    for listener in listen::listen_at([&service])? {
        tokio::task::spawn_local(outbound::run(Rc::clone(&caller), listener));
    }
    Ok(service)
}

/// A port nobody uses.
async fn free(ip: &str) -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((ip, 0)).await?.local_addr()?)
}

fn config(ip: &str, service_account: &str, listens: &[(&str, &str)]) -> anyhow::Result<Config> {
    let mut pairs = vec![
        (env::POD_NAME, "lab"),
        (env::POD_NAMESPACE, "shop"),
        (env::POD_IPS, ip),
        (env::SERVICE_ACCOUNT, service_account),
        (env::SYSTEM_NAMESPACE, "tulle-system"),
        (env::TRUST_DOMAIN, "cluster.local"),
        (env::ISSUER, "127.0.1.4:15012"),
        (env::DEFAULT_MTLS, "PERMISSIVE"),
        (env::CAPTURE, "listen"),
        ("KUBERNETES_SERVICE_HOST", "127.0.1.4"),
        ("KUBERNETES_SERVICE_PORT", "6443"),
    ];
    pairs.extend_from_slice(listens);
    Ok(Config::from_pairs(&pairs)?)
}

fn worker(config: Config, ca: &TestCa, identity: &str, snapshot: Snapshot) -> Rc<Worker> {
    let (discovery, _watches) = discovery::new(&config);
    discovery.snapshot().store(Arc::new(snapshot));
    let tls = ca.context(identity);
    let shared =
        Shared { tls, drain: Drain::default(), discovery, access_log: AccessLog::default(), spans: None, config };
    Worker::new(Arc::new(shared), Arc::<Shard>::default())
}

/// A Service whose second rule sends 90 % to one backend and 10 % to another; one pod stands behind both.
fn catalog(port: u16, pod: SocketAddr) -> anyhow::Result<Service> {
    let identity: SpiffeId = CALLEE.parse()?;
    let destination = |name: &str| {
        let service = ServiceRef::new("shop", name);
        let endpoints = vec![Endpoint { address: pod, transport: Transport::Mesh }];
        let identities = Arc::from([identity.clone()]);
        let backend = Backend {
            service: service.clone(),
            subset: None,
            port,
            policy: TrafficPolicy::default(),
            identities,
            endpoints,
        };
        Arc::new(Destination { service, subset: None, backends: Some(Split::single(Arc::new(backend))), only: None })
    };
    let rule = |name: &str, matches, weights: &[(&str, u32)]| Rule {
        name: Arc::from(name),
        matches: vec![matches],
        within: Vec::new(),
        action: route::Action::forward(
            Split::new(weights.iter().map(|(name, weight)| (destination(name), Weight(*weight))))
                .expect("the weights are not all zero"),
        ),
        filters: Filters::default(),
    };
    let tester = HeaderMatch::Value(StringMatch::Exact(Arc::from("tester")));
    let headers = Match { headers: vec![(Arc::from("x-user"), tester)], ..Match::default() };
    let path = Match { uri: Some(StringMatch::Prefix(Arc::from("/items"))), ..Match::default() };
    let rules = vec![
        rule("tests", headers, &[("catalog-v2", 1)]),
        rule("canary", path, &[("catalog-v1", 90), ("catalog-v2", 10)]),
    ];
    let port = Port {
        number: port,
        protocol: Protocol::Detect,
        routes: RouteTable { rules },
        bytes: ByteTable::default(),
        direct: destination("catalog"),
    };
    Ok(Service { name: ServiceRef::new("shop", "catalog"), ports: vec![port] })
}

/// STRICT, and only the caller's ServiceAccount is allowed.
fn policies() -> PolicySet {
    let from = Source { service_accounts: vec![ServiceAccountRef::new("shop", "web")], ..Source::default() };
    let policy = Policy {
        name: PolicyName::new("shop", "only-web"),
        created: 0,
        selector: None,
        mtls: Some(Mtls { mode: Some(MtlsMode::Strict), ports: BTreeMap::new() }),
        authorization: Some(Authorization {
            action: Action::Allow,
            rules: vec![Allow { from: vec![from], to: Vec::new() }],
        }),
        unreadable: false,
    };
    let workload = Workload { namespace: Namespace::new("shop"), labels: BTreeMap::new() };
    PolicySet::new([policy], &workload, &Namespace::new("tulle-system"))
}
