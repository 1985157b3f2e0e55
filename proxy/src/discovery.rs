//! What the mesh knows of the addresses this pod dials, straight from the API server and no more of it than is used.
//!
//! A data thread that meets an unknown address asks ([`Discovery::resolve`]); the control thread finds whose it is, watches what
//! decides about it, and publishes a new [`Snapshot`]. From then on the answer is in the snapshot, and changes reach it as the
//! watches tell them. The steps, in the order in which an address meets them:
//!
//! - [`control`]: the task; questions and events in, snapshots out
//! - [`lookup`]: whose address is it? [`addresses`]: what was answered, when it was used, when to ask again
//! - [`needs`]: which watches that takes; [`plan`]: as data; [`watches`], [`watch`]: running; [`client`]: over one connection
//! - [`object`]: what is read of an object; [`records`], [`specs`]: what it means; [`collection`], [`store`]: what is kept
//! - [`build`]: the snapshot; [`endpoints`], [`routes`], [`policies`]: its parts
//!
//! While the API server is away the last snapshot stays in force, for ever.

mod addresses;
mod build;
mod client;
mod collection;
mod control;
mod endpoints;
mod facts;
mod labels;
mod lookup;
mod needs;
mod object;
#[cfg(feature = "parsers")]
pub(crate) mod parsers;
mod plan;
mod policies;
mod reach;
mod records;
mod routes;
mod specs;
mod store;
#[cfg(test)]
mod testing;
mod watch;
mod watches;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch::{self as cell, Receiver};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tulle_core::snapshot::Snapshot;

use self::addresses::{Addresses, Usage};
use self::build::{Built, Frame};
use self::client::{Access, Clients};
use self::control::{Ask, Control, State};
pub(crate) use self::facts::Facts;
use self::needs::Home;
use self::reach::Reach;
pub(crate) use self::store::Applied;
use self::store::Store;
use self::watches::Watches;
use crate::config::Config;

/// Questions under way from data threads; a burst beyond it is refused at once instead of waiting for answers behind it.
const MAX_ASKS: usize = 1024;
/// Events between the watches and the store. Small: what waits in the streams costs us nothing.
const MAX_EVENTS: usize = 64;
/// How long a connection waits for its address to be known.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Discovery as the rest of the proxy sees it. Cheap to clone; the task behind it is [`Task`].
#[derive(Clone)]
pub(crate) struct Discovery {
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
    bundle: Receiver<Option<Arc<[u8]>>>,
    initialised: Receiver<bool>,
}

/// The control thread's part; nothing happens until it runs.
pub(crate) struct Task(Control);

/// Why an address is not known: the API server does not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer from the API server for {} s: {reason}", since.elapsed().as_secs())]
pub(crate) struct Unavailable {
    pub(crate) since: Instant,
    pub(crate) reason: Arc<str>,
}

impl Unavailable {
    fn now(reason: &str) -> Self {
        Self { since: Instant::now(), reason: reason.into() }
    }
}

/// What data threads read and the task writes.
pub(crate) struct Shared {
    snapshot: Arc<ArcSwap<Snapshot>>,
    usage: ArcSwap<HashMap<IpAddr, Arc<Usage>>>,
    facts: ArcSwap<Facts>,
    started: Instant,
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn publish(&self, snapshot: &Arc<Snapshot>, addresses: &Addresses) {
        self.snapshot.store(Arc::clone(snapshot));
        self.usage.store(Arc::new(addresses.usage().map(|(address, usage)| (address, Arc::clone(usage))).collect()));
    }
}

/// Discovery and the task that runs it. Nothing is read or dialled here: the API server may well be away.
pub(crate) fn new(config: &Config) -> (Discovery, Task) {
    let home = Home {
        namespace: config.pod.namespace.as_str().into(),
        system_namespace: config.system_namespace.as_str().into(),
    };
    let prefer_ipv4 = config.pod.ips.iter().any(IpAddr::is_ipv4) || config.pod.ips.is_empty();
    let frame = Frame { home, prefer_ipv4 };
    let built = Built::nothing(&frame);
    let shared = Arc::new(Shared {
        snapshot: Arc::new(ArcSwap::new(Arc::clone(&built.snapshot))),
        usage: ArcSwap::default(),
        facts: ArcSwap::default(),
        started: Instant::now(),
    });
    let (asks_in, asks) = mpsc::channel(MAX_ASKS);
    let (events_in, events) = mpsc::channel(MAX_EVENTS);
    let (bundle_in, bundle) = cell::channel(None);
    let (initialised_in, initialised) = cell::channel(false);
    let reach = Reach::new();
    let access = Access {
        url: config.api.url.clone(),
        token_file: config.api.token_file.clone(),
        ca_file: config.api.ca_file.clone(),
    };
    let control = Control {
        frame,
        cluster_networks: config.cluster_networks.clone(),
        labels_file: config.labels_file.clone(),
        shared: Arc::clone(&shared),
        asks,
        events,
        watches: Watches::new(Clients::new(access, reach.clone()), reach.clone(), events_in),
        reach,
        bundle: bundle_in,
        initialised: initialised_in,
        state: State::new(Store::new(config.cluster_domain.as_str().into()), built),
    };
    (Discovery { shared, asks: asks_in, bundle, initialised }, Task(control))
}

impl Discovery {
    /// The published world. Load it once a decision.
    pub(crate) fn snapshot(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.shared.snapshot
    }

    /// Makes an address known. `Ok`: the snapshot has an entry for it now. Waits at most two seconds.
    ///
    /// # Errors
    /// The API server does not answer and the address belongs to the cluster, or too many connections wait already.
    pub(crate) async fn resolve(&self, address: IpAddr) -> Result<(), Unavailable> {
        if self.shared.snapshot.load().targets.contains_key(&address) {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        if self.asks.try_send(Ask { address, answer }).is_err() {
            return Err(Unavailable::now("too many connections wait for an address"));
        }
        match tokio::time::timeout(RESOLVE_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Unavailable::now("the proxy is stopping")),
            Err(_) => {
                let away = self.shared.facts.load().away.clone();
                let reason = away.as_ref().map_or("no answer within 2 s", |away| &away.reason);
                Err(Unavailable {
                    since: away.as_ref().map_or_else(Instant::now, |away| away.since),
                    reason: reason.into(),
                })
            }
        }
    }

    /// Notes that a connection to an address is open, for as long as the answer lives: what has no open connection for ten
    /// minutes is forgotten, and asked for anew when it is met again. `None`: the address is not known.
    pub(crate) fn hold(&self, address: IpAddr) -> Option<InUse> {
        let usage = Arc::clone(self.shared.usage.load().get(&address)?);
        usage.open(self.shared.now());
        Some(InUse { usage, started: self.shared.started })
    }

    /// The trust bundle, PEM; `None` before it was read. Once read it is never taken away.
    pub(crate) fn bundle(&self) -> Receiver<Option<Arc<[u8]>>> {
        self.bundle.clone()
    }

    /// Whether policies, the pod's labels and the trust bundle have been read. Once true it stays true.
    pub(crate) fn initialised(&self) -> Receiver<bool> {
        self.initialised.clone()
    }

    /// What discovery tells about itself.
    pub(crate) fn facts(&self) -> Arc<Facts> {
        self.shared.facts.load_full()
    }
}

/// An open connection to a known address.
pub(crate) struct InUse {
    usage: Arc<Usage>,
    started: Instant,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.usage.close(self.started.elapsed());
    }
}

impl Task {
    /// Runs until shutdown, on a runtime with time and I/O.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        self.0.run(shutdown).await;
    }
}
