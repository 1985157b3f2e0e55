//! What each dialled address was found to be, when it was last used, and when to ask again. Time is an argument: a
//! [`Duration`] since the proxy started.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tulle_core::name::{Namespace, ServiceRef};

use super::object::Kind;

/// Addresses held at once. A pod that talks to more of them is a scanner or a crawler: the least recently used are asked for
/// again. At ≈ 200 bytes each the bound is under 1 MB.
pub(crate) const MAX_ADDRESSES: usize = 4096;
/// A Service or pod without an open connection for so long is forgotten, and with it the watches only it needed.
pub(crate) const IDLE: Duration = Duration::from_secs(600);
/// First wait before asking again for an address of the cluster that the mesh did not know: the operator may be about to write
/// its MeshService. It doubles up to [`ASK_AGAIN_MAX`], so that a node address in constant use costs a request a minute.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
/// Wait before asking again for an address outside the cluster's networks, and the longest wait for any.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// The use of an address; data threads write it.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Connections open now.
    open: AtomicU32,
    /// Seconds since start at which one was last opened or closed.
    last: AtomicU32,
}

impl Usage {
    fn new(now: Duration) -> Self {
        Self { open: AtomicU32::new(0), last: AtomicU32::new(seconds(now)) }
    }

    /// A connection opens.
    pub(crate) fn open(&self, now: Duration) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.last.store(seconds(now), Ordering::Relaxed);
    }

    /// A connection that was opened here closes.
    pub(crate) fn close(&self, now: Duration) {
        self.last.store(seconds(now), Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    fn last(&self) -> Duration {
        Duration::from_secs(u64::from(self.last.load(Ordering::Relaxed)))
    }
}

/// What an address was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// A cluster address of a Service.
    Service(ServiceRef),
    /// A meshed pod, watched under the label of its address.
    Pod { namespace: Namespace, kind: Kind, label: Arc<str> },
    /// Unknown to the mesh.
    Outside,
}

/// All addresses that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    known: HashMap<IpAddr, Known>,
}

#[derive(Debug)]
struct Known {
    binding: Binding,
    usage: Arc<Usage>,
    /// For [`Binding::Outside`]: when to ask again.
    again: Duration,
    wait: Duration,
}

impl Addresses {
    /// Every address with its binding.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Binding)> {
        self.known.iter().map(|(address, known)| (*address, &known.binding))
    }

    /// What one address was found to be.
    pub(crate) fn get(&self, address: IpAddr) -> Option<&Binding> {
        self.known.get(&address).map(|known| &known.binding)
    }

    /// Number of addresses held.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// The cells that data threads write.
    pub(crate) fn usage(&self) -> impl Iterator<Item = (IpAddr, &Arc<Usage>)> {
        self.known.iter().map(|(address, known)| (*address, &known.usage))
    }

    /// Records an answer. `inside`: the address belongs to the cluster's networks.
    pub(crate) fn bind(&mut self, address: IpAddr, binding: Binding, inside: bool, now: Duration) {
        let old = self.known.remove(&address);
        if old.is_none() && self.known.len() >= MAX_ADDRESSES {
            self.evict();
        }
        let wait = match &old {
            Some(old) if old.binding == Binding::Outside && inside => (old.wait * 2).min(ASK_AGAIN_MAX),
            _ if inside => ASK_AGAIN_MIN,
            _ => ASK_AGAIN_MAX,
        };
        let usage = old.map_or_else(|| Arc::new(Usage::new(now)), |old| old.usage);
        self.known.insert(address, Known { binding, usage, again: now + wait, wait });
    }

    /// Forgets Services and pods unused for [`IDLE`], and unknown addresses that nobody dialled since they were asked for. Returns
    /// those to ask for again now, in the background: until the answer their entry stands.
    pub(crate) fn sweep(&mut self, now: Duration) -> Vec<IpAddr> {
        let mut again = Vec::new();
        self.known.retain(|address, known| {
            let last = known.usage.last();
            if known.binding != Binding::Outside {
                return known.usage.is_open() || now.saturating_sub(last) <= IDLE;
            }
            if now < known.again {
                return true;
            }
            let asked = known.again.saturating_sub(known.wait);
            if last.as_secs() < asked.as_secs() {
                return false;
            }
            known.again = now + known.wait;
            again.push(*address);
            true
        });
        again
    }

    /// Makes every unknown address due: the API server is back, and what was assumed while it was away is asked for.
    pub(crate) fn distrust(&mut self, now: Duration) {
        for known in self.known.values_mut().filter(|known| known.binding == Binding::Outside) {
            known.again = known.again.min(now + ASK_AGAIN_MIN);
        }
    }

    /// Makes room: an unknown address goes before a Service or a pod, the least recently used first.
    fn evict(&mut self) {
        let oldest = self
            .known
            .iter()
            .min_by_key(|(_, known)| (known.binding != Binding::Outside, known.usage.is_open(), known.usage.last()))
            .map(|(address, _)| *address);
        if let Some(address) = oldest {
            self.known.remove(&address);
        }
    }
}

fn seconds(now: Duration) -> u32 {
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
