//! A data thread: its own runtime, listeners, connections, balancer state and counters. Nothing here is shared with another thread
//! but the published snapshot, the TLS configurations and the question queue of discovery.

mod lane;
mod report;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use tulle_core::route::Rule;
use tulle_core::route::bytes::ByteRule;
use tulle_core::snapshot::{Backend, Destination, PodTarget, Port, Service, Snapshot, Target};

use crate::access_log::AccessLog;
use crate::config::Config;
use crate::discovery::Discovery;
use crate::drain::Drain;
use crate::error::FailureId;
use crate::limits::Places;
use crate::metrics::Shard;
use crate::mirror::Outcome;
use crate::outbound::{Greeters, lane_labels};
use crate::spans::Spans;
use crate::tls::TlsContext;
use crate::upstream::{Key, Upstream, Way};
use lane::Origin;
pub(crate) use lane::{Chosen, Lane};
pub(crate) use view::{Tried, View};

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(2);

/// Enough to see every distinct refusal of a busy second.
const REFUSALS_LOGGED_PER_SECOND: u32 = 20;

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) discovery: Discovery,
    pub(crate) tls: Arc<TlsContext>,
    pub(crate) drain: Drain,
    pub(crate) access_log: AccessLog,
    /// None: no collector is configured, and traces pass as they came.
    pub(crate) spans: Option<Arc<Spans>>,
}

/// See the module.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Shard>,
    snapshot: RefCell<arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>>,
    /// Generation the views below belong to.
    generation: Cell<u64>,
    upstreams: RefCell<HashMap<Key, Rc<Upstream>, FixedState>>,
    /// By address of the backend, which the view keeps alive.
    views: RefCell<HashMap<*const Backend, Rc<View>, FixedState>>,
    lanes: RefCell<HashMap<lane::Key, Rc<Lane>, FixedState>>,
    random: RefCell<fastrand::Rng>,
    log: Cell<LogBudget>,
    /// Copies for mirrors under way.
    pub(crate) copies: Places,
    /// Undeclared ports where the server speaks first.
    pub(crate) greeters: Greeters,
}

/// Refusals logged in the second that began at `since`.
#[derive(Clone, Copy)]
struct LogBudget {
    since: Instant,
    logged: u32,
    suppressed: u64,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, metrics: Arc<Shard>) -> Rc<Self> {
        let snapshot = arc_swap::Cache::new(Arc::clone(shared.discovery.snapshot()));
        Rc::new(Self {
            shared,
            metrics,
            snapshot: RefCell::new(snapshot),
            generation: Cell::new(0),
            upstreams: RefCell::default(),
            views: RefCell::default(),
            lanes: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            log: Cell::new(LogBudget { since: Instant::now(), logged: 0, suppressed: 0 }),
            copies: Places::default(),
            greeters: Greeters::default(),
        })
    }

    /// Runs `decide` on the current world. It must not await: a decision is made from one snapshot.
    pub(crate) fn with_snapshot<T>(&self, decide: impl FnOnce(&Snapshot) -> T) -> T {
        let mut cache = self.snapshot.borrow_mut();
        let snapshot = cache.load();
        if snapshot.generation != self.generation.replace(snapshot.generation) {
            self.forget_gone(snapshot);
        }
        decide(snapshot)
    }

    /// A uniform draw.
    pub(crate) fn draw(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// An identifier for a failure.
    fn failure_id(&self) -> FailureId {
        FailureId(self.draw())
    }

    /// Whether one more refusal may be logged: all are counted in the metrics, and a storm of them must not become one of log lines.
    fn may_log(&self) -> bool {
        let mut budget = self.log.get();
        if budget.since.elapsed() >= Duration::from_secs(1) {
            if budget.suppressed > 0 {
                tracing::warn!(count = budget.suppressed, "further refusals were not logged, see docs/metrics.md");
            }
            budget = LogBudget { since: Instant::now(), logged: 0, suppressed: 0 };
        }
        let allowed = budget.logged < REFUSALS_LOGGED_PER_SECOND;
        budget.logged += u32::from(allowed);
        budget.suppressed += u64::from(!allowed);
        self.log.set(budget);
        allowed
    }

    /// The way of requests, copies or bytes to a dialled Service's port that a rule took and sends where was `chosen` (`None`: no rule
    /// spoke), and for which `backend` was chosen.
    pub(crate) fn lane(
        &self,
        (service, port): (&Arc<Service>, &Port),
        chosen: Option<Chosen<'_>>,
        backend: &Arc<Backend>,
    ) -> Rc<Lane> {
        let key = (Origin::key(port, chosen), Arc::as_ptr(backend));
        if let Some(lane) = self.lanes.borrow().get(&key) {
            return Rc::clone(lane);
        }
        let origin = Origin::new(service, port, chosen);
        let lane = Rc::new(Lane::new(service.name.clone(), Some(origin), self.view(backend), chosen));
        self.lanes.borrow_mut().insert(key, Rc::clone(&lane));
        lane
    }

    /// Counts a copy for a mirror.
    pub(crate) fn count_copy(&self, lane: &Lane, outcome: Outcome) {
        let mtls = lane.view.upstreams[0].key.way == Way::Mesh;
        lane.mirrored(|| self.metrics.mirrored(lane_labels(self, lane, mtls))).count(outcome);
    }

    /// The way to a pod dialled by its own address. It is kept by its connection alone: nothing else goes there by this name.
    pub(crate) fn pod_lane(&self, pod: &PodTarget, backend: Arc<Backend>) -> Rc<Lane> {
        Rc::new(Lane::new(pod.pod.clone(), None, Rc::new(self.new_view(backend)), None))
    }

    /// This thread's state for a backend.
    fn view(&self, backend: &Arc<Backend>) -> Rc<View> {
        if let Some(view) = self.views.borrow().get(&Arc::as_ptr(backend)) {
            return Rc::clone(view);
        }
        let view = Rc::new(self.new_view(Arc::clone(backend)));
        self.views.borrow_mut().insert(Arc::as_ptr(backend), Rc::clone(&view));
        view
    }

    fn new_view(&self, backend: Arc<Backend>) -> View {
        let upstreams = backend.endpoints.iter().map(|endpoint| {
            let upstream = self.upstream(endpoint.address, endpoint.transport.into());
            upstream.balanced.set(true);
            upstream
        });
        let upstreams = upstreams.collect();
        View::new(backend, upstreams, self.draw())
    }

    /// This thread's state for an address. A call of this pod to itself stays plaintext inside the pod: the redirect does not see it.
    /// The application is where [`Capture`](crate::config::Capture) says.
    pub(crate) fn upstream(&self, address: SocketAddr, way: Way) -> Rc<Upstream> {
        let way = if self.is_own(address.ip()) { Way::Local } else { way };
        let address = if way == Way::Local { self.shared.config.capture.application(address) } else { address };
        let key = Key { address, way };
        Rc::clone(self.upstreams.borrow_mut().entry(key).or_insert_with(|| Rc::new(Upstream::new(key))))
    }

    /// Whether the address is one of this pod's.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.shared.config.pod.ips.contains(&address)
    }

    /// Closes idle connections in time, for ever.
    pub(crate) async fn sweep(self: Rc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.with_snapshot(|_| ());
            let now = Instant::now();
            self.upstreams.borrow_mut().retain(|_, upstream| {
                upstream.sweep(now);
                !upstream.is_idle() || Rc::strong_count(upstream) > 1
            });
        }
    }

    /// A new world: the views of backends that left it go, and with them the connections to addresses that are endpoints no more.
    fn forget_gone(&self, snapshot: &Snapshot) {
        let live = Live::of(snapshot);
        self.lanes.borrow_mut().retain(|_, lane| lane.is_of(|service| live.services.contains(&service)));
        self.views.borrow_mut().retain(|backend, _| live.backends.contains(backend));
        self.upstreams.borrow_mut().retain(|key, upstream| {
            let stays = !upstream.balanced.get() || live.addresses.contains(&key.address);
            if !stays {
                upstream.retire();
            }
            stays
        });
    }
}

/// Services, backends and addresses a snapshot names.
#[derive(Default)]
struct Live {
    services: HashSet<*const Service, FixedState>,
    backends: HashSet<*const Backend, FixedState>,
    addresses: HashSet<SocketAddr, FixedState>,
}

impl Live {
    fn of(snapshot: &Snapshot) -> Self {
        let mut live = Self::default();
        for target in snapshot.targets.values() {
            let Target::Service(service) = target else { continue };
            live.services.insert(Arc::as_ptr(service));
            for port in &service.ports {
                let routed = port.routes.rules.iter().flat_map(Rule::destinations);
                let passed = port.bytes.rules().flat_map(ByteRule::destinations);
                for destination in routed.chain(passed).chain([&port.direct]) {
                    live.add(destination);
                }
            }
        }
        live
    }

    fn add(&mut self, destination: &Destination) {
        let backends = destination.backends.iter().flat_map(|split| split.entries().map(|(backend, _)| backend));
        for backend in backends.chain(destination.only.iter().filter_map(|only| only.others.as_ref())) {
            if self.backends.insert(Arc::as_ptr(backend)) {
                self.addresses.extend(backend.endpoints.iter().map(|endpoint| endpoint.address));
            }
        }
    }
}

#[cfg(test)]
mod tests;
