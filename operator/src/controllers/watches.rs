//! (shell) The watches of the leader, each turned into [`Change`]s of the world. No opinions here.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{ApiResource, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tulle_crds::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

use crate::config::{BUNDLE_ROLE, PROXY_ROLE};
use crate::desired::bindings::namespaces;
use crate::metrics::Metrics;
use crate::world::{Change, Ref, cut};

/// Changes waiting for the one task that holds the world; a full queue slows the watches down, which the API server
/// buffers for us.
const QUEUE: usize = 4096;

/// Life of one watch request, in seconds. A watch that dies without a word is noticed 5 s later (`watcher`'s idle
/// timeout), and a resumed one costs the API server next to nothing.
const WATCH_SECONDS: u32 = 40;

/// What a watch says.
#[derive(Debug)]
pub(super) enum Notice {
    /// Something changed.
    Change(Change),
    /// This watch has told everything that existed when it began.
    Complete,
}

/// The running watches; dropping it ends them.
pub(super) struct Watches {
    /// What they say, in order for each object.
    pub(super) notices: mpsc::Receiver<Notice>,
    /// How many [`Notice::Complete`] make the world whole.
    pub(super) count: usize,
    _tasks: JoinSet<()>,
}

/// Starts every watch of the leader.
#[must_use]
pub(super) fn start(client: &Client, system_namespace: &str, metrics: &Arc<Metrics>) -> Watches {
    let (sender, notices) = mpsc::channel(QUEUE);
    let mut start = Start { sender, metrics, tasks: JoinSet::new() };
    let slim_pods = Api::<cut::SlimPod>::all_with(client.clone(), &ApiResource::erase::<Pod>(&()));
    let namespaces_api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    start.watch("Namespace", namespaces_api, "", |of, object| {
        let labels = object.map(|object| cut::asks_for_sidecars(object.metadata.labels.as_ref()));
        Change::Namespace(of.name, labels)
    });
    start.watch("Service", Api::<Service>::all(client.clone()), "", |of, object| {
        Change::Service(of, object.map(cut::service))
    });
    start.watch("EndpointSlice", Api::<EndpointSlice>::all(client.clone()), "", |of, object| {
        Change::Slice(of, object.map(cut::slice))
    });
    start.watch("Pod", slim_pods, "", |of, object| Change::Pod(of, object.map(cut::pod)));
    start.watch("TrafficSplit", Api::<TrafficSplit>::all(client.clone()), "", |of, object| {
        Change::TrafficSplit(of, object.map(cut::user))
    });
    start.watch("VirtualService", Api::<VirtualService>::all(client.clone()), "", |of, object| {
        Change::VirtualService(of, object.map(cut::user))
    });
    start.watch("MeshPolicy", Api::<MeshPolicy>::all(client.clone()), "", |of, object| {
        Change::MeshPolicy(of, object.map(cut::user))
    });
    start.watch("MeshService", Api::<MeshService>::all(client.clone()), "", |of, object| {
        Change::MeshService(of, object.map(cut::user))
    });
    start.watch("MeshEndpoint", Api::<MeshEndpoint>::all(client.clone()), "", |of, object| {
        Change::MeshEndpoint(of, object.map(cut::user))
    });
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    start.watch("ClusterRoleBinding", bindings, PROXY_ROLE, |_, object| {
        Change::Bound(object.map(|binding| namespaces(binding.subjects.as_ref())))
    });
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), system_namespace);
    start.watch("RoleBinding", bindings, BUNDLE_ROLE, |_, object| {
        Change::BundleBound(object.map(|binding| namespaces(binding.subjects.as_ref())))
    });
    let count = start.tasks.len();
    Watches { notices, count, _tasks: start.tasks }
}

struct Start<'a> {
    sender: mpsc::Sender<Notice>,
    metrics: &'a Arc<Metrics>,
    tasks: JoinSet<()>,
}

impl Start<'_> {
    /// Watches all objects of `api`, or the one called `name` where that is not empty.
    fn watch<K>(
        &mut self,
        kind: &'static str,
        api: Api<K>,
        name: &str,
        change: impl Fn(Ref, Option<K>) -> Change + Send + 'static,
    ) where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        if !name.is_empty() {
            config = config.fields(&format!("metadata.name={name}"));
        }
        let (sender, metrics) = (self.sender.clone(), Arc::clone(self.metrics));
        self.tasks.spawn(follow(kind, api, config, change, sender, metrics));
    }
}

/// Turns one watch into notices until nobody listens. After a broken watch the API server lists anew; what was known and
/// is not in that list is gone.
async fn follow<K>(
    kind: &'static str,
    api: Api<K>,
    config: watcher::Config,
    change: impl Fn(Ref, Option<K>) -> Change,
    sender: mpsc::Sender<Notice>,
    metrics: Arc<Metrics>,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut events = watcher::watcher(api, config).default_backoff().boxed();
    let mut known: BTreeSet<Ref> = BTreeSet::new();
    let mut listed: BTreeSet<Ref> = BTreeSet::new();
    let mut complete = false;
    while let Some(event) = events.next().await {
        let mut notices = Vec::new();
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                let of = cut::reference(&object);
                listed.insert(of.clone());
                notices.push(Notice::Change(change(of, Some(object))));
            }
            Ok(Event::InitDone) => {
                let gone = known.difference(&listed).cloned();
                notices.extend(gone.map(|of| Notice::Change(change(of, None))));
                known = std::mem::take(&mut listed);
                if !complete {
                    complete = true;
                    notices.push(Notice::Complete);
                }
            }
            Ok(Event::Apply(object)) => {
                let of = cut::reference(&object);
                known.insert(of.clone());
                notices.push(Notice::Change(change(of, Some(object))));
            }
            Ok(Event::Delete(object)) => {
                let of = cut::reference(&object);
                known.remove(&of);
                notices.push(Notice::Change(change(of, None)));
            }
            Err(error) => {
                metrics.watch_broke(kind);
                tracing::warn!(kind, %error, "watch broke, starting again");
            }
        }
        for notice in notices {
            if sender.send(notice).await.is_err() {
                return;
            }
        }
    }
}
