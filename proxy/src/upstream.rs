//! One address a data thread calls: its load, its open connections, how to open another.
//!
//! Everything here belongs to one thread: cells instead of locks. Connections are kept per thread as well, so a request never
//! crosses threads on its way.

pub(crate) mod dial;
pub(crate) mod load;
pub(crate) mod pool;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::limits::Places;
use load::Load;
use pool::{H1Connection, H2Connection, SharedConnection};
use tulle_core::snapshot::Transport;

/// Identifies an upstream of a data thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Address dialled.
    pub(crate) address: SocketAddr,
    /// How it is reached.
    pub(crate) way: Way,
}

/// How an upstream is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// Mutual TLS to the peer's proxy.
    Mesh,
    /// Plaintext to an endpoint outside the mesh.
    Plain,
    /// Plaintext to the application of this pod.
    Local,
}

impl From<Transport> for Way {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Mesh => Self::Mesh,
            Transport::Plain => Self::Plain,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) key: Key,
    pub(crate) load: Load,
    /// Whether a backend named it: then it goes when no backend does any more.
    pub(crate) balanced: Cell<bool>,
    /// Set when the address left the balancer: connections that come back are closed instead of kept.
    retired: Cell<bool>,
    h1: RefCell<Vec<H1Connection>>,
    h1_shares: RefCell<Vec<H1Connection>>,
    shared: RefCell<Vec<SharedConnection>>,
    h2: RefCell<Vec<Rc<H2Connection>>>,
    /// Held while a connection for many requests is opened, so that a burst of them opens one and not a hundred.
    opening: Arc<tokio::sync::Mutex<()>>,
    /// Requests and connections that wait until one is open.
    waiting: Places,
}

impl Upstream {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            load: Load::default(),
            balanced: Cell::new(false),
            retired: Cell::new(false),
            h1: RefCell::default(),
            h1_shares: RefCell::default(),
            shared: RefCell::default(),
            h2: RefCell::default(),
            opening: Arc::default(),
            waiting: Places::default(),
        }
    }
}

#[cfg(test)]
mod tests;
