//! The task behind [`Discovery`](super::Discovery): takes questions from data threads and events from watches, and publishes.
//!
//! Each turn takes whatever is queued, then settles: watches are fitted to what is used, a snapshot is built if anything
//! changed, and whoever waits for an address that it holds is answered. No change is held back to wait for a second one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::addresses::{Addresses, Binding};
use super::build::{Built, Frame, build};
use super::facts::{Facts, WatchFact};
use super::lookup::look_up;
use super::needs;
use super::reach::Reach;
use super::store::{Change, Complaint, Kept, Store};
use super::watch::{Event, News};
use super::watches::Watches;
use super::{Shared, Unavailable, labels};

/// Lookups on their way at once. At ≈ 5 ms each that is 3,000 new addresses a second, more than a pod should ask of an API server.
const MAX_LOOKUPS: usize = 16;
/// Connections that wait for an answer; beyond it they are refused at once, because answers are 2 s away at most.
const MAX_WAITING: usize = 4096;
/// Events taken in one turn, so that a flood of them cannot keep a snapshot from being published.
const MAX_BATCH: usize = 256;
/// How often idle addresses are looked for, unknown ones asked for again, and the pod's labels read.
const TICK: Duration = Duration::from_secs(1);
/// Every how many ticks watches that cover too much are narrowed: each costs the API server a list.
const NARROW_TICKS: u32 = 60;
/// While the API server is away, one question in this time still goes out; all others are answered from what is known.
const AWAY_PROBE: Duration = Duration::from_secs(1);

/// A question from a data thread.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) address: IpAddr,
    pub(crate) answer: oneshot::Sender<Result<(), Unavailable>>,
}

/// What the task is made of.
pub(crate) struct Control {
    pub(crate) frame: Frame,
    pub(crate) cluster_networks: Vec<IpNet>,
    pub(crate) labels_file: PathBuf,
    pub(crate) shared: Arc<Shared>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) watches: Watches,
    pub(crate) reach: Reach,
    pub(crate) bundle: watch::Sender<Option<Arc<[u8]>>>,
    pub(crate) initialised: watch::Sender<bool>,
    pub(crate) state: State,
}

/// What the task knows.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) built: Built,
    pub(crate) addresses: Addresses,
    waiting: HashMap<IpAddr, Vec<oneshot::Sender<Result<(), Unavailable>>>>,
    lookups: JoinSet<(IpAddr, Result<Binding, String>)>,
    /// Addresses to look up, and those queued or on their way.
    queue: VecDeque<IpAddr>,
    asking: HashSet<IpAddr>,
    probed: Option<Instant>,
    away: bool,
    ticks: u32,
    /// Whether anything happened that watches or the snapshot may have to follow.
    dirty: bool,
    labels_error: Option<String>,
}

impl State {
    pub(crate) fn new(store: Store, built: Built) -> Self {
        Self {
            store,
            built,
            addresses: Addresses::default(),
            waiting: HashMap::new(),
            lookups: JoinSet::new(),
            queue: VecDeque::new(),
            asking: HashSet::new(),
            probed: None,
            away: false,
            ticks: 0,
            dirty: true,
            labels_error: None,
        }
    }
}

impl Control {
    /// Runs until shutdown. Dropping it is safe: watches end with it, and the last snapshot stays published.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(ask) = self.asks.recv() => self.ask(ask),
                Some(event) = self.events.recv() => self.event(event),
                Some(Ok((address, answer))) = self.state.lookups.join_next() => self.answer(address, answer),
                _ = tick.tick() => self.tick(),
            }
            for _ in 0..MAX_BATCH {
                let Ok(event) = self.events.try_recv() else { break };
                self.event(event);
            }
            for _ in 0..MAX_BATCH {
                let Ok(ask) = self.asks.try_recv() else { break };
                self.ask(ask);
            }
            self.settle(false);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let address = ask.address;
        let waiting = self.state.waiting.values().map(Vec::len).sum::<usize>();
        if waiting >= MAX_WAITING {
            let _ = ask.answer.send(Err(Unavailable::now("too many connections wait for an address")));
            return;
        }
        self.state.waiting.entry(address).or_default().push(ask.answer);
        if self.state.asking.contains(&address) {
            return;
        }
        if self.state.addresses.get(address).is_some() {
            // Known, but what it needs is still being listed.
            if let Some(away) = self.reach.away() {
                self.refuse(address, &away.reason);
            }
            return;
        }
        if let Some(away) = self.reach.away() {
            let recent = self.state.probed.is_some_and(|probed| probed.elapsed() < AWAY_PROBE);
            if recent || !self.inside(address) {
                self.unanswered(address, &away.reason);
                return;
            }
            self.state.probed = Some(Instant::now());
        }
        self.enqueue(address);
    }

    fn enqueue(&mut self, address: IpAddr) {
        if self.state.asking.insert(address) {
            self.state.queue.push_back(address);
            self.start_lookups();
        }
    }

    fn start_lookups(&mut self) {
        while self.state.lookups.len() < MAX_LOOKUPS {
            let Some(address) = self.state.queue.pop_front() else { return };
            match self.watches.client() {
                Ok(client) => {
                    self.state.lookups.spawn(async move { (address, look_up(client, address).await) });
                }
                Err(error) => {
                    self.state.asking.remove(&address);
                    self.unanswered(address, &error.to_string());
                }
            }
        }
    }

    fn answer(&mut self, address: IpAddr, answer: Result<Binding, String>) {
        self.state.asking.remove(&address);
        match answer {
            Ok(binding) => {
                debug!(%address, ?binding, "address looked up");
                self.bind(address, binding);
            }
            Err(reason) => self.unanswered(address, &reason),
        }
        self.start_lookups();
    }

    /// The API server did not say what an address is. What was known of it stands; of an unknown one inside the cluster's
    /// networks nothing is assumed, because a connection in plaintext to a meshed pod must not happen by accident.
    fn unanswered(&mut self, address: IpAddr, reason: &str) {
        if self.state.addresses.get(address).is_some() {
            return;
        }
        if !self.inside(address) {
            self.bind(address, Binding::Outside);
            return;
        }
        self.refuse(address, reason);
    }

    fn refuse(&mut self, address: IpAddr, reason: &str) {
        let away = self.reach.away();
        let unavailable =
            Unavailable { since: away.map_or_else(Instant::now, |away| away.since), reason: reason.into() };
        for waiting in self.state.waiting.remove(&address).unwrap_or_default() {
            let _ = waiting.send(Err(unavailable.clone()));
        }
    }

    fn bind(&mut self, address: IpAddr, binding: Binding) {
        let inside = self.inside(address);
        self.state.addresses.bind(address, binding, inside, self.shared.now());
        self.state.dirty = true;
    }

    fn inside(&self, address: IpAddr) -> bool {
        self.cluster_networks.iter().any(|network| network.contains(&address.to_canonical()))
    }

    fn event(&mut self, event: Event) {
        let Some(selection) = self.watches.admit(&event) else { return };
        let change = match event.news {
            News::Listed(list) => Change::Listed(selection, list),
            News::Applied(object) => Change::Applied(object),
            News::Deleted(meta) => Change::Deleted(meta),
            News::Failed(_) | News::Resumed => return,
        };
        self.state.dirty = true;
        for complaint in self.state.store.take(&event.scope, change) {
            complain(&complaint);
        }
    }

    fn tick(&mut self) {
        self.state.ticks = self.state.ticks.wrapping_add(1);
        self.read_labels();
        self.state.waiting.retain(|_, waiting| {
            waiting.retain(|answer| !answer.is_closed());
            !waiting.is_empty()
        });
        let away = self.reach.away();
        let was_away = std::mem::replace(&mut self.state.away, away.is_some());
        match (was_away, away) {
            (false, Some(away)) => {
                warn!(reason = %away.reason, "the API server does not answer; the last configuration stays in force")
            }
            (true, None) => {
                info!("the API server answers again");
                self.state.addresses.distrust(self.shared.now());
            }
            (true, Some(_)) => return, // nothing is forgotten that could not be asked for again
            (false, None) => {}
        }
        let known = self.state.addresses.len();
        for address in self.state.addresses.sweep(self.shared.now()) {
            self.enqueue(address);
        }
        self.state.dirty |= self.state.addresses.len() != known;
        if self.state.ticks.is_multiple_of(NARROW_TICKS) {
            self.settle(true);
        }
    }

    /// Labels of a running pod can be edited, and the kubelet then rewrites the file.
    fn read_labels(&mut self) {
        match labels::read(&self.labels_file) {
            Ok(labels) => {
                self.state.labels_error = None;
                self.state.dirty |= self.state.store.set_labels(labels);
            }
            Err(error) => {
                let error = format!("{}: {error}", self.labels_file.display());
                if self.state.labels_error.as_ref() != Some(&error) {
                    warn!(%error, "the pod's labels cannot be read, so no policy can be applied anew");
                    self.state.labels_error = Some(error);
                }
            }
        }
    }

    fn settle(&mut self, narrow: bool) {
        if self.state.dirty || narrow {
            self.state.dirty = false;
            self.follow(narrow);
        }
        self.shared.facts.store(Arc::new(self.facts()));
        let targets = &self.state.built.snapshot.targets;
        self.state.waiting.retain(|address, waiting| {
            if targets.contains_key(address) {
                waiting.drain(..).for_each(|answer| drop(answer.send(Ok(()))));
            }
            !waiting.is_empty()
        });
    }

    /// Fits the watches to what is used, and the snapshot to what they have said.
    fn follow(&mut self, narrow: bool) {
        for address in needs::lost(&self.state.store, &self.state.addresses) {
            self.bind(address, Binding::Outside);
        }
        let plan = needs::plan(&self.state.store, &self.state.addresses, &self.frame.home);
        match self.watches.cover(&plan, narrow) {
            Ok(dropped) => dropped.iter().for_each(|scope| self.state.store.forget(scope)),
            Err(error) => {
                self.reach.failed(&error.to_string());
                self.state.dirty = true; // tried again at the next tick
            }
        }
        if let Some(built) = build(&self.state.store, &self.state.addresses, &self.frame, &self.state.built) {
            self.shared.publish(&built.snapshot, &self.state.addresses);
            self.state.built = built;
        }
        self.bundle.send_if_modified(|bundle| {
            let changed = bundle.as_ref() != self.state.store.bundle();
            if changed {
                *bundle = self.state.store.bundle().cloned();
            }
            changed
        });
        let initialised = self.state.built.knows_policies() && self.state.store.bundle().is_some();
        self.initialised.send_if_modified(|was| std::mem::replace(was, initialised) != initialised);
    }

    fn facts(&self) -> Facts {
        let fact = |(scope, state): (&super::object::Scope, &super::watches::State)| WatchFact {
            scope: scope.clone(),
            initialised: state.initialised,
            last_event: state.last_event,
            failing: state.failing.as_ref().map(|(_, reason)| Arc::clone(reason)),
        };
        Facts {
            generation: self.state.built.snapshot.generation,
            addresses: self.state.addresses.len(),
            away: self.reach.away(),
            watches: self.watches.states().map(fact).collect(),
            applied: self.state.store.applied(),
        }
    }
}

fn complain(complaint: &Complaint) {
    let Complaint { scope, name, error, kept } = complaint;
    let kind = scope.kind.as_str();
    let namespace = &scope.namespace;
    match kept {
        Kept::Last => warn!(kind, %namespace, %name, %error, "not applied; the last good version stays in force"),
        Kept::Nothing => warn!(kind, %namespace, %name, %error, "not applied; there is no earlier version to keep"),
        Kept::Rest => warn!(kind, %namespace, %name, %error, "applied but for the rules named"),
    }
}
