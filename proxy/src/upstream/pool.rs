//! Connections kept between requests. HTTP/1: one request each, the last used first; from some requests at once on they are shares of
//! a common TLS connection. HTTP/2: shared, one unless its streams run out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tulle_core::identity::SpiffeId;

use super::dial::{Dialled, Terms, dial};
use super::{Upstream, Way};
use crate::error::Failure;
use crate::h1::Wire;
use crate::http2::{self, Sender};
use crate::io::Stream;
use crate::limits;
use crate::mux::Opener;
use crate::tls::{MeshProtocol, TlsContext};
use tulle_core::codes::Reason;

/// Idle connections kept for one address and thread; more than this is a burst that need not be held for.
const IDLE_MAX: usize = 256;
/// Idle life inside the mesh: half of what the other side's proxy grants, so that the caller closes first and no request races.
const IDLE_MESH: Duration = Duration::from_secs(45);
/// Idle life toward applications: below the shortest keep-alive in common use (Node.js: 5 s).
const IDLE_APPLICATION: Duration = Duration::from_secs(4);
/// Requests at once on one HTTP/2 connection before another is opened: the least a peer should allow (RFC 9113 §6.5.2).
const STREAMS_PER_CONNECTION: usize = 100;

/// Requests at once to one proxy of the mesh above which a further HTTP/1 connection is a share of a common one. Few callers get the
/// bandwidth of a connection each; many save system calls together.
const ALONE: u32 = 1;

/// An HTTP/1 connection, in the pool or with a request.
#[derive(Debug)]
pub(crate) struct H1Connection {
    pub(crate) wire: Wire,
    peer: Option<SpiffeId>,
    idle_since: Instant,
    /// Whether a request was answered on it before: a broken one may then merely have been closed by its peer.
    pub(crate) reused: bool,
}

/// A TLS connection that HTTP/1 connections are shares of.
#[derive(Debug)]
pub(crate) struct SharedConnection {
    opener: Opener,
    peer: Option<SpiffeId>,
}

/// An HTTP/2 connection; requests in flight hold an `Rc` of it.
#[derive(Debug)]
pub(crate) struct H2Connection {
    pub(crate) sender: Sender,
    peer: Option<SpiffeId>,
}

impl H1Connection {
    fn new(stream: Stream, peer: Option<SpiffeId>) -> Self {
        Self { wire: Wire::new(stream), peer, idle_since: Instant::now(), reused: false }
    }
}

impl Upstream {
    /// A kept HTTP/1 connection whose peer is one of `expected`.
    pub(crate) fn kept_h1(&self, expected: &[SpiffeId], now: Instant) -> Option<H1Connection> {
        self.take_idle(if self.is_shared() { &self.h1_shares } else { &self.h1 }, expected, now)
    }

    /// Whether HTTP/1 connections of now are shares of a common one.
    fn is_shared(&self) -> bool {
        self.key.way == Way::Mesh && self.load.in_flight() > ALONE
    }

    /// A new HTTP/1 connection, where [none is kept](Self::kept_h1).
    pub(crate) async fn h1(&self, tls: &TlsContext, terms: Terms<'_>) -> Result<H1Connection, Failure> {
        if self.is_shared() {
            return match self.share(terms.expected) {
                Some(connection) => Ok(connection),
                // Boxed: a handshake is rare and large.
                None => Box::pin(self.open_shared(tls, terms)).await,
            };
        }
        let _place = limits::wait(&self.waiting)?;
        let Dialled { stream, peer } = Box::pin(dial(tls, self.key, MeshProtocol::H1, terms)).await?;
        Ok(H1Connection::new(stream, peer))
    }

    /// A share of a new common connection, unless others opened one meanwhile that has room.
    async fn open_shared(&self, tls: &TlsContext, terms: Terms<'_>) -> Result<H1Connection, Failure> {
        let _place = limits::wait(&self.waiting)?;
        let _one_at_a_time = self.opening.lock().await;
        if let Some(connection) = self.share(terms.expected) {
            return Ok(connection);
        }
        let Dialled { stream, peer } = dial(tls, self.key, MeshProtocol::H1Shared, terms).await?;
        let Stream::Tls(stream) = stream else { return Ok(H1Connection::new(stream, peer)) };
        let opener = Opener::start(stream);
        let share = opener.open().expect("a new connection has room");
        let connection = H1Connection::new(Stream::Mux(share), peer.clone());
        if !self.retired.get() {
            self.shared.borrow_mut().push(SharedConnection { opener, peer });
        }
        Ok(connection)
    }

    fn share(&self, expected: &[SpiffeId]) -> Option<H1Connection> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|common| !common.opener.is_over() && allowed(common.peer.as_ref(), expected));
        shared.iter().find_map(|common| {
            common.opener.open().map(|share| H1Connection::new(Stream::Mux(share), common.peer.clone()))
        })
    }

    /// An HTTP/2 connection with room for one more request.
    pub(crate) async fn h2(
        self: &Rc<Self>,
        tls: &Arc<TlsContext>,
        terms: Terms<'_>,
    ) -> Result<Rc<H2Connection>, Failure> {
        match self.shared_h2(terms.expected) {
            Some(connection) => Ok(connection),
            // Boxed: a handshake is rare and large, and every stream would have room for one.
            None => Box::pin(self.open_h2(tls, terms)).await,
        }
    }

    /// In a task of its own: a request that is given up meanwhile leaves the connection to the others that wait for it.
    async fn open_h2(self: &Rc<Self>, tls: &Arc<TlsContext>, terms: Terms<'_>) -> Result<Rc<H2Connection>, Failure> {
        let _place = limits::wait(&self.waiting)?;
        let one_at_a_time = Arc::clone(&self.opening).lock_owned().await;
        if let Some(connection) = self.shared_h2(terms.expected) {
            return Ok(connection);
        }
        let (upstream, tls, expected) = (Rc::clone(self), Arc::clone(tls), terms.expected.to_vec());
        let limit = terms.limit;
        let opening = tokio::task::spawn_local(async move {
            let _one_at_a_time = one_at_a_time;
            upstream.dial_h2(&tls, Terms { expected: &expected, limit }).await
        });
        opening.await.unwrap_or_else(|error| {
            Err(Failure::new(
                Reason::ConnectFailed,
                format!("connecting to {} was broken off: {error}", self.key.address),
            ))
        })
    }

    async fn dial_h2(&self, tls: &TlsContext, terms: Terms<'_>) -> Result<Rc<H2Connection>, Failure> {
        let Dialled { stream, peer } = dial(tls, self.key, MeshProtocol::H2, terms).await?;
        let sender =
            http2::open(stream, self.key.way == Way::Mesh).await.map_err(|error| self.handshake_failed(&error))?;
        let connection = Rc::new(H2Connection { sender, peer });
        if !self.retired.get() {
            self.h2.borrow_mut().push(Rc::clone(&connection));
        }
        Ok(connection)
    }

    /// A connection for bytes, never pooled.
    pub(crate) async fn tcp(&self, tls: &TlsContext, terms: Terms<'_>) -> Result<Stream, Failure> {
        let _place = limits::wait(&self.waiting)?;
        Box::pin(dial(tls, self.key, MeshProtocol::Tcp, terms)).await.map(|dialled| dialled.stream)
    }

    /// Takes back a connection whose answer was read to its end.
    pub(crate) fn give_back(&self, mut connection: H1Connection) {
        let mut idle = if connection.wire.is_shared() { &self.h1_shares } else { &self.h1 }.borrow_mut();
        if self.retired.get() || idle.len() >= IDLE_MAX {
            return;
        }
        connection.wire.rest();
        connection.idle_since = Instant::now();
        connection.reused = true;
        idle.push(connection);
    }

    /// Closes what was idle too long or has ended.
    pub(crate) fn sweep(&self, now: Instant) {
        let limit = self.idle_limit();
        for idle in [&self.h1, &self.h1_shares] {
            idle.borrow_mut().retain_mut(|connection| {
                now.saturating_duration_since(connection.idle_since) < limit && !connection.wire.is_spent()
            });
        }
        self.shared.borrow_mut().retain(|common| !common.opener.is_over() && common.opener.open_streams() > 0);
        self.h2.borrow_mut().retain(|connection| !connection.sender.is_closed());
    }

    /// The address is no endpoint any more: closes idle connections now, the others when their requests are done.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.h1.borrow_mut().clear();
        self.h1_shares.borrow_mut().clear();
        self.shared.borrow_mut().clear();
        self.h2.borrow_mut().clear();
    }

    /// Whether a connection is kept for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.h1.borrow().is_empty() && self.shared.borrow().is_empty() && self.h2.borrow().is_empty()
    }

    fn idle_limit(&self) -> Duration {
        match self.key.way {
            Way::Mesh => IDLE_MESH,
            Way::Plain | Way::Local => IDLE_APPLICATION,
        }
    }

    /// The last used connection whose peer has not closed it.
    fn take_idle(
        &self,
        idle: &RefCell<Vec<H1Connection>>,
        expected: &[SpiffeId],
        now: Instant,
    ) -> Option<H1Connection> {
        let mut idle = idle.borrow_mut();
        let limit = self.idle_limit();
        while let Some(mut connection) = idle.pop() {
            let over = now.saturating_duration_since(connection.idle_since) >= limit;
            if !over && allowed(connection.peer.as_ref(), expected) && !connection.wire.is_spent() {
                return Some(connection);
            }
        }
        None
    }

    fn shared_h2(&self, expected: &[SpiffeId]) -> Option<Rc<H2Connection>> {
        let mut connections = self.h2.borrow_mut();
        connections.retain(|connection| !connection.sender.is_closed() && allowed(connection.peer.as_ref(), expected));
        connections.iter().find(|connection| Rc::strong_count(connection) <= STREAMS_PER_CONNECTION).cloned()
    }

    fn handshake_failed(&self, error: &h2::Error) -> Failure {
        Failure::new(Reason::ConnectFailed, format!("HTTP handshake with {}: {error}", self.key.address))
    }
}

/// A kept connection serves only while its peer is still among those who may answer.
fn allowed(peer: Option<&SpiffeId>, expected: &[SpiffeId]) -> bool {
    peer.is_none_or(|peer| expected.contains(peer))
}
