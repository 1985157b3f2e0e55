//! Leadership by a Lease: one replica at a time writes what is not signed on request.
//!
//! The rules of client-go's leader election: a candidate counts `DURATION` from the moment *it* saw the lease change, so
//! no two clocks are compared; a holder that could not renew for `RENEW_DEADLINE` stops writing before a candidate may
//! take over. The [`Fence`] holds that instant, and every write asks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, CallError};

/// A lease not renewed for this long may be taken.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that has not renewed for this long has stopped writing. The 5 s to [`DURATION`] are for a write in flight
/// and for clocks that run at different speed.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts, to renew as well as to take.
const RETRY: Duration = Duration::from_secs(2);

/// Whether writing is permitted right now. Cloning gives another handle to the same fence.
#[derive(Clone, Debug)]
pub struct Fence {
    origin: Instant,
    /// Milliseconds from `origin` until which writing is permitted; 0 is never.
    until_ms: Arc<AtomicU64>,
}

impl Fence {
    fn closed() -> Self {
        Self { origin: Instant::now(), until_ms: Arc::default() }
    }

    /// A fence for a single command that a person runs, when no operator does.
    #[must_use]
    pub fn open() -> Self {
        let fence = Self::closed();
        fence.until_ms.store(u64::MAX, Ordering::Release);
        fence
    }

    /// Whether the lease was renewed recently enough. The clock is monotonic and runs on while the process is stopped,
    /// so a leader that was frozen past its lease finds the fence closed when it wakes.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.since_origin(Instant::now()) < self.until_ms.load(Ordering::Acquire)
    }

    fn hold_until(&self, until: Instant) {
        self.until_ms.store(self.since_origin(until), Ordering::Release);
    }

    fn close(&self) {
        self.until_ms.store(0, Ordering::Release);
    }

    fn since_origin(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.origin).as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// One replica's view of the lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    holder: String,
    /// The last lease seen, and when this replica first saw it in that form.
    seen: Option<(Lease, Instant)>,
}

impl Candidate {
    /// A candidate named `holder` (the pod's name).
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, holder: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), holder: holder.to_owned(), seen: None }
    }

    /// Waits until this replica leads. `None` when `stop` came first.
    pub async fn lead(&mut self, stop: &CancellationToken) -> Option<Fence> {
        while !stop.is_cancelled() {
            let asked = Instant::now();
            match self.take().await {
                Ok(true) => {
                    let fence = Fence::closed();
                    fence.hold_until(asked + RENEW_DEADLINE);
                    return Some(fence);
                }
                Ok(false) => {}
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(error, lease = self.name, "lease not read or taken, trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        None
    }

    /// Renews until the lease is lost (returns) or `stop` comes. The fence is closed on return.
    pub async fn keep(&mut self, fence: &Fence, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
            let asked = Instant::now();
            let deadline = fence.origin + Duration::from_millis(fence.until_ms.load(Ordering::Acquire));
            match tokio::time::timeout_at(deadline, self.take()).await {
                Ok(Ok(true)) => fence.hold_until(asked + RENEW_DEADLINE),
                Ok(Ok(false)) => {
                    tracing::warn!(lease = self.name, "another replica holds the lease");
                    break;
                }
                Ok(Err(error)) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(error, lease = self.name, "lease not renewed, trying again");
                }
                Err(_) => {}
            }
            if !fence.holds() {
                tracing::error!(lease = self.name, "lease not renewed in time, this replica stops leading");
                break;
            }
        }
        fence.close();
    }

    /// Gives the lease back, so that the next leader need not wait. Best effort: it runs out by itself.
    pub async fn release(&mut self) {
        let Some((mut lease, _)) = self.seen.take() else { return };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(self.holder.as_str()) {
            return;
        }
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        if let Err(error) = apply::hold_lease(&self.api, &self.name, &lease).await {
            tracing::debug!(%error, lease = self.name, "lease not given back");
        }
    }

    /// One attempt: whether this replica holds the lease afterwards.
    async fn take(&mut self) -> Result<bool, CallError> {
        let read = apply::in_time(self.api.get_opt(&self.name)).await?;
        let now = Instant::now();
        if let Some(lease) = &read {
            let same = self
                .seen
                .as_ref()
                .is_some_and(|(seen, _)| seen.metadata.resource_version == lease.metadata.resource_version);
            if !same {
                self.seen = Some((lease.clone(), now));
            }
        }
        let unchanged_for = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| now.duration_since(*since));
        let Some(wanted) = wanted(read.as_ref(), &self.name, &self.holder, unchanged_for, Timestamp::now()) else {
            return Ok(false);
        };
        match apply::hold_lease(&self.api, &self.name, &wanted).await {
            Ok(held) => {
                self.seen = Some((held, now));
                Ok(true)
            }
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The lease to write, or `None` while another replica holds it. No clock but the arguments: `unchanged_for` is measured
/// by this replica, `now` only goes into the object for people.
fn wanted(current: Option<&Lease>, name: &str, holder: &str, unchanged_for: Duration, now: Timestamp) -> Option<Lease> {
    let mut lease = current.cloned().unwrap_or_default();
    lease.metadata.name = Some(name.to_owned());
    lease.metadata.managed_fields = None;
    let old = lease.spec.take().unwrap_or_default();
    let held_by = old.holder_identity.as_deref().filter(|other| !other.is_empty());
    if held_by.is_some_and(|other| other != holder) && unchanged_for < DURATION {
        return None;
    }
    let renewed = held_by == Some(holder);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        acquire_time: if renewed { old.acquire_time } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!renewed && current.is_some())),
        ..LeaseSpec::default()
    });
    Some(lease)
}

#[cfg(test)]
mod tests;
