//! The only writer. Everything goes through server-side apply under one field manager, so fields of others are left
//! alone and a write repeated changes nothing; every write of the leader passes the fence first.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tulle_crds::labels::OPERATOR_FIELD_MANAGER;

use crate::lease::Fence;

/// Longest wait for one call: an API server that needs longer is asked again after a back-off. A connection whose other
/// end is gone without a word is noticed by it, too.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest note of an event (events.k8s.io/v1, `note`: at most 1 kB).
const NOTE_BYTES_MAX: usize = 1024;

/// Why a call of the API server led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Another replica may lead by now.
    #[error("this replica does not hold the lease any more")]
    NotLeader,
    /// No answer in time.
    #[error("no answer from the API server in {CALL_TIMEOUT:?}")]
    Timeout,
    /// The API server said no.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl CallError {
    /// Whether the object, or the namespace it belongs in, is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 404)
    }

    /// Whether the namespace takes no new objects, because it ends (cause `NamespaceTerminating`).
    #[must_use]
    pub fn is_ending(&self) -> bool {
        matches!(self, Self::Api(error) if is_ending(error))
    }

    /// What the API server, or a webhook it asked, has against the object itself (HTTP 400, 403 and 422).
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::Api(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
                Some(status.message.clone())
            }
            _ => None,
        }
    }

    /// Whether somebody else made it first, or changed it meanwhile.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 409)
    }
}

/// Writes for one holder of the lease. Cloning gives another handle.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    fence: Fence,
    recorder: Recorder,
}

impl Writer {
    /// A writer that stops writing when `fence` closes; `pod` names it in events.
    pub fn new(client: Client, fence: Fence, pod: &str) -> Self {
        let reporter = Reporter { controller: "tulle.dev/operator".into(), instance: Some(pod.to_owned()) };
        Self { recorder: Recorder::new(client.clone(), reporter), client, fence }
    }

    /// The client, for reading.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes `object` what the cluster has, and takes over fields that others set.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn apply<K>(&self, api: &Api<K>, name: &str, object: &K) -> Result<K, CallError>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Serialize,
    {
        self.guarded(api.patch(name, &manager(), &Patch::Apply(object))).await
    }

    /// The same for a part of an object written as JSON, with `apiVersion` and `kind`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn apply_part<K>(&self, api: &Api<K>, name: &str, part: &serde_json::Value) -> Result<K, CallError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        self.guarded(api.patch(name, &manager(), &Patch::Apply(part))).await
    }

    /// Writes the status subresource: `part` holds `apiVersion`, `kind` and `status`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn apply_status<K>(&self, api: &Api<K>, name: &str, part: &serde_json::Value) -> Result<K, CallError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        self.guarded(api.patch_status(name, &manager(), &Patch::Apply(part))).await
    }

    /// Removes the object with this uid; one that is gone, or was made anew since, counts as removed.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete<K>(&self, api: &Api<K>, name: &str, uid: Option<&str>) -> Result<(), CallError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.guarded(api.delete(name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes every object of a kind that carries these labels. For `uninstall`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete_all<K>(&self, api: &Api<K>) -> Result<(), CallError>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let params = kube::api::ListParams::default();
        self.guarded(api.delete_collection(&DeleteParams::default(), &params)).await.map(drop)
    }

    /// Tells a person who looks at the object. Lost when the API server refuses: an event is a courtesy, the condition
    /// and the log are the record.
    pub async fn event(&self, about: &ObjectReference, warning: bool, reason: &str, action: &str, note: &str) {
        let mut note = note.to_owned();
        note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        let published = tokio::time::timeout(CALL_TIMEOUT, self.recorder.publish(&event, about)).await;
        if let Ok(Err(error)) = published
            && !is_ending(&error)
        {
            tracing::warn!(%error, reason, name = about.name, namespace = about.namespace, "event not written");
        }
    }

    async fn guarded<T>(&self, write: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
        if !self.fence.holds() {
            return Err(CallError::NotLeader);
        }
        in_time(write).await
    }
}

/// Creates the Secret unless one of this name exists: `Ok(None)` says that somebody else was first. Not fenced, because
/// the API server itself lets only one creation win.
///
/// # Errors
/// See [`CallError`].
pub async fn create_once(api: &Api<Secret>, secret: &Secret) -> Result<Option<Secret>, CallError> {
    match in_time(api.create(&PostParams::default(), secret)).await {
        Ok(created) => Ok(Some(created)),
        Err(error) if error.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the lease this replica wants to hold: creates it where `resourceVersion` is absent, else replaces exactly the
/// version it read. Not fenced, because it is what the fence is made of.
///
/// # Errors
/// See [`CallError`]; a conflict says that another replica was first.
pub async fn hold_lease(api: &Api<Lease>, name: &str, lease: &Lease) -> Result<Lease, CallError> {
    let params = PostParams { field_manager: Some(OPERATOR_FIELD_MANAGER.to_owned()), ..PostParams::default() };
    if lease.metadata.resource_version.is_none() {
        return in_time(api.create(&params, lease)).await;
    }
    in_time(api.replace(name, &params, lease)).await
}

/// The answer of the API server, unless it takes too long.
///
/// # Errors
/// See [`CallError`].
pub async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Timeout),
    }
}

fn is_ending(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("because it is being terminated"))
}

fn manager() -> PatchParams {
    PatchParams::apply(OPERATOR_FIELD_MANAGER).force()
}
