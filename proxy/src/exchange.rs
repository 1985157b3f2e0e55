//! What the balancer counts of a request under way.

use std::rc::Rc;

use crate::upstream::Upstream;

/// A request in flight, for the balancer.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Rc<Upstream>);

impl InFlight {
    pub(crate) fn begin(upstream: &Rc<Upstream>) -> Self {
        upstream.load.begin();
        Self(Rc::clone(upstream))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.end();
    }
}
