//! Undeclared ports whose servers were seen to speak first.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::SocketAddr;

use foldhash::fast::FixedState;

/// Destinations a thread remembers, 15 KiB: more than a pod calls such servers. Beyond it all are forgotten, and each costs its next
/// connection the wait again.
const MAX: usize = 256;

/// Addresses as applications dial them: a port of a Service, or of a pod.
#[derive(Debug, Default)]
pub(crate) struct Greeters(RefCell<HashSet<SocketAddr, FixedState>>);

impl Greeters {
    /// Whether the server there is known to speak first.
    pub(super) fn contains(&self, dialled: SocketAddr) -> bool {
        self.0.borrow().contains(&dialled)
    }

    /// The server there was seen to speak first.
    pub(super) fn insert(&self, dialled: SocketAddr) {
        let mut known = self.0.borrow_mut();
        if known.len() >= MAX && !known.contains(&dialled) {
            known.clear();
        }
        known.insert(dialled);
    }

    /// A client was seen to speak HTTP to it.
    pub(super) fn remove(&self, dialled: SocketAddr) {
        self.0.borrow_mut().remove(&dialled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit_are_remembered() {
        let at = |port: usize| SocketAddr::from(([10, 96, 0, 1], u16::try_from(port).unwrap()));
        let greeters = Greeters::default();
        (0..MAX).for_each(|port| greeters.insert(at(port)));
        greeters.insert(at(0));
        assert!((0..MAX).all(|port| greeters.contains(at(port))));
        greeters.remove(at(0));
        assert!(!greeters.contains(at(0)));
        greeters.insert(at(0));
        greeters.insert(at(MAX));
        assert!(greeters.contains(at(MAX)) && !greeters.contains(at(1)));
    }
}
