//! One watch: a streaming list of a scope, followed for as long as it is wanted. A list reaches the store whole, in one step,
//! so that nobody ever sees a part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tulle_crds::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

use super::client::trouble;
use super::object::{EndpointSlice, Kind, Meta, Object, Scope, Slim, TrustBundle, Watched};
use super::plan::{Selection, field_selector, label_selector};
use super::reach::Reach;

/// The server ends a watch after a random time in this range, in seconds, so that the watches of a fleet started together do
/// not renew together; kube takes a stream that outlives it by 5 s for dead.
const WATCH_SECONDS: std::ops::Range<u32> = 220..290;
/// Wait after the first failure; it doubles with each further one, with jitter of one half either way.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// Longest wait of the scout, the one watch that keeps trying while the API server is away: a connection attempt a second.
const BACKOFF_SCOUT: Duration = Duration::from_secs(1);
/// Longest wait of the other watches; they are woken when the scout (or anything else) was answered.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Watches woken together spread over this time. With the scout's wait it keeps convergence within 2 s of the server's return.
const WAKE_SPREAD: Duration = Duration::from_millis(500);
/// A resumed watch that has not failed for so long runs; longer than a request may wait for the head of its answer.
const RESUMED_AFTER: Duration = Duration::from_secs(11);
/// A stream that lived so long has paid for its earlier failures.
const FORGIVEN: Duration = Duration::from_secs(60);

/// A word from a watch.
#[derive(Debug)]
pub(crate) struct Event {
    /// Which watch of the scope speaks: a superseded one is not listened to.
    pub(crate) id: u64,
    pub(crate) scope: Scope,
    pub(crate) news: News,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum News {
    /// The complete list: at the start, and again whenever the server could not tell the changes since.
    Listed(Vec<Object>),
    Applied(Object),
    Deleted(Meta),
    /// The watch does not run, with the reason; it keeps trying.
    Failed(String),
    /// The watch runs again and nothing has changed since.
    Resumed,
}

/// What a watch needs.
pub(crate) struct Assignment {
    pub(crate) id: u64,
    pub(crate) scope: Scope,
    pub(crate) selection: Selection,
    pub(crate) client: Client,
    pub(crate) reach: Reach,
    /// Bounded: a store that does not keep up slows the streams down, and HTTP/2 windows slow the server down.
    pub(crate) events: mpsc::Sender<Event>,
    /// Whether the server can stream lists. Kubernetes 1.33 has the feature switched off (KEP-3157).
    pub(crate) streaming: Arc<AtomicBool>,
}

impl Assignment {
    /// Follows the scope until it is dropped, which is safe at any time: the store takes whole events only.
    pub(crate) async fn run(self) {
        match self.scope.kind {
            Kind::TrustBundle => self.follow::<TrustBundle>().await,
            Kind::MeshPolicy => self.follow::<Slim<MeshPolicy>>().await,
            Kind::VirtualService => self.follow::<Slim<VirtualService>>().await,
            Kind::TrafficSplit => self.follow::<Slim<TrafficSplit>>().await,
            Kind::MeshService => self.follow::<Slim<MeshService>>().await,
            Kind::EndpointSlice => self.follow::<EndpointSlice>().await,
            Kind::MeshEndpoint | Kind::MeshEndpointV6 => self.follow::<Slim<MeshEndpoint>>().await,
        }
    }

    async fn follow<K: Watched>(self) {
        let mut backoff = Backoff::new(self.scope.kind == Kind::TrustBundle);
        loop {
            let streaming = self.streaming.load(Ordering::Relaxed);
            let mut stream = std::pin::pin!(watcher::watcher(self.api::<K>(), self.config(streaming)));
            let mut list = Vec::new();
            let mut failed = false;
            loop {
                let next = stream.next();
                let next = match failed {
                    // The watcher does not say that it could resume: an attempt that has not failed by now has not failed.
                    true => match tokio::time::timeout(RESUMED_AFTER, next).await {
                        Ok(next) => next,
                        Err(_) => {
                            failed = false;
                            self.tell(News::Resumed).await;
                            continue;
                        }
                    },
                    false => next.await,
                };
                let news = match next {
                    None => break,
                    Some(Ok(watcher::Event::Init)) => {
                        list = Vec::new();
                        continue;
                    }
                    Some(Ok(watcher::Event::InitApply(object))) => {
                        list.push(object.object());
                        continue;
                    }
                    Some(Ok(watcher::Event::InitDone)) => News::Listed(std::mem::take(&mut list)),
                    Some(Ok(watcher::Event::Apply(object))) => News::Applied(object.object()),
                    Some(Ok(watcher::Event::Delete(object))) => News::Deleted(object.object().meta),
                    Some(Err(error)) if streaming && cannot_stream(&error) => {
                        self.streaming.store(false, Ordering::Relaxed);
                        break;
                    }
                    Some(Err(error)) => {
                        self.tell(News::Failed(reason(&error))).await;
                        backoff.wait(&self.reach).await;
                        failed = true;
                        continue;
                    }
                };
                failed = false;
                self.tell(news).await;
            }
        }
    }

    /// A closed channel means that discovery ends, and this task with it.
    async fn tell(&self, news: News) {
        let event = Event { id: self.id, scope: self.scope.clone(), news };
        if self.events.send(event).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn api<K: Watched>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.scope.namespace)
    }

    fn config(&self, streaming: bool) -> watcher::Config {
        let mut config = watcher::Config::default().timeout(fastrand::u32(WATCH_SECONDS));
        config.label_selector = label_selector(self.scope.kind, &self.selection);
        config.field_selector = field_selector(self.scope.kind);
        if streaming { config.streaming_lists() } else { config.any_semantic() }
    }
}

fn reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => trouble(error),
        watcher::Error::WatchError(status) => format!("the watch ended: {}", status.message),
        error => error.to_string(),
    }
}

/// The answer of a server that knows the parameter and has the feature off: 422, `sendInitialEvents: Forbidden`.
fn cannot_stream(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 422)
}

/// Waits between attempts.
struct Backoff {
    scout: bool,
    failures: u32,
    last: Instant,
}

impl Backoff {
    fn new(scout: bool) -> Self {
        Self { scout, failures: 0, last: Instant::now() }
    }

    /// Waits out the back-off, or until the API server answers somebody.
    async fn wait(&mut self, reach: &Reach) {
        if self.last.elapsed() > FORGIVEN {
            self.failures = 0;
        }
        let longest = if self.scout { BACKOFF_SCOUT } else { BACKOFF_MAX };
        let delay = jittered(delay(self.failures, longest), fastrand::f64());
        self.failures += 1;
        let mut changes = reach.changes();
        let back = async {
            // Errors only when every sender is gone, and `reach` is one.
            let _ = changes.wait_for(Option::is_some).await;
            let _ = changes.wait_for(Option::is_none).await;
            tokio::time::sleep(WAKE_SPREAD.mul_f64(fastrand::f64())).await;
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            // A server that has just started refuses a few requests more; the outage before must not count against them.
            () = back => self.failures = 0,
        }
        self.last = Instant::now();
    }
}

fn delay(failures: u32, longest: Duration) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(longest)
}

/// `delay` × 0.5 … 1.5; `draw` is in 0 … 1.
fn jittered(delay: Duration, draw: f64) -> Duration {
    delay.mul_f64(0.5 + draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound_and_are_spread() {
        let rows = [(0, 250), (1, 500), (2, 1000), (3, 2000), (5, 8000), (6, 10_000), (1000, 10_000)];
        for (failures, want) in rows {
            assert_eq!(delay(failures, BACKOFF_MAX), Duration::from_millis(want), "after {failures} failures");
        }
        assert_eq!(delay(9, BACKOFF_SCOUT), BACKOFF_SCOUT);
        assert_eq!(jittered(Duration::from_secs(2), 0.0), Duration::from_secs(1));
        assert_eq!(jittered(Duration::from_secs(2), 1.0), Duration::from_secs(3));
    }
}
