//! What both paths count of a request under way.

use std::rc::Rc;
use std::sync::Arc;

use crate::metrics::cells::HttpCells;
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

/// Counts a request as active until its answer has ended.
#[derive(Debug)]
pub(crate) struct Active(Arc<HttpCells>);

impl Active {
    pub(crate) fn new(cells: &Arc<HttpCells>) -> Self {
        cells.active.add(1);
        Self(Arc::clone(cells))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.add(-1);
    }
}
