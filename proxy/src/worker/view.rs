//! A backend as one thread balances over it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use tulle_core::route::Balance;
use tulle_core::snapshot::Backend;

use crate::upstream::{Upstream, load};

/// Addresses tried for one request.
pub(crate) type Tried = SmallVec<[SocketAddr; 4]>;

/// See the module.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) backend: Arc<Backend>,
    pub(crate) upstreams: Vec<Rc<Upstream>>,
    /// Whose turn it is where they take turns.
    turn: Cell<usize>,
}

impl View {
    /// `draw`: where turns begin. Many proxies must not begin with the same endpoint.
    pub(super) fn new(backend: Arc<Backend>, upstreams: Vec<Rc<Upstream>>, draw: u64) -> Self {
        Self { backend, upstreams, turn: Cell::new(draw as usize) }
    }

    /// The endpoint for an attempt, not one that was tried unless all were. `draw` is uniform over `u64`.
    pub(crate) fn endpoint(&self, draw: u64, tried: &Tried, now: Instant) -> &Rc<Upstream> {
        let all = self.upstreams.as_slice();
        let is_new = |upstream: &&Rc<Upstream>| !tried.contains(&upstream.key.address);
        let at = |number: usize| &all[number % all.len()];
        match self.backend.policy.balance {
            Balance::LeastRequest => {
                let cost =
                    |upstream: &Rc<Upstream>| if is_new(&upstream) { upstream.load.cost(now) } else { f64::INFINITY };
                let chosen = load::choose(all, draw, cost).expect("a backend has at least one endpoint");
                if is_new(&chosen) { chosen } else { all.iter().find(is_new).unwrap_or(chosen) }
            }
            Balance::RoundRobin => {
                let turn = self.turn.get();
                // A turn that was tried is somebody else's.
                let skipped = (0..all.len()).find(|skip| is_new(&at(turn.wrapping_add(*skip)))).unwrap_or_default();
                self.turn.set(turn.wrapping_add(skipped + 1));
                at(turn.wrapping_add(skipped))
            }
            Balance::Random => {
                let drawn = (draw >> 32) as usize;
                (0..all.len()).map(|skip| at(drawn + skip)).find(is_new).unwrap_or_else(|| at(drawn))
            }
        }
    }
}

#[cfg(test)]
mod tests;
