//! How much a proxy carries at once. What would be more is refused at once and cheaply: a proxy that takes everything fails everybody.
//!
//! Connections are counted for each direction, so that callers from outside cannot take the application its own; what comes on top is
//! reset before a byte of it is read, and a caller in the mesh then tries another endpoint. Requests that wait for a connection to be
//! opened are counted for each address and thread. Streams of HTTP/2 have bounds of their own, in [`http2`](crate::http2).

use std::cell::Cell;
use std::rc::Rc;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::TcpStream;
use tulle_core::codes::Reason;

use crate::drain::Open;
use crate::error::Failure;
use crate::metrics::Side;
use crate::worker::Worker;

/// Requests of a thread that may wait until a connection to one address is open. An address that takes that many within the time of a
/// handshake is slower than it is asked; each costs a few kilobytes.
const WAITING_MAX: u32 = 4096;
/// Files of the proxy itself: listeners, watches, the issuer, scrapes.
const OWN_FILES: u64 = 256;
/// Files a connection may need: itself and the one it is passed on by, in either direction.
const FILES_PER_CONNECTION: u64 = 4;

/// The connections each direction may have: `wanted`, or fewer where the process may not open that many files. Raises the soft limit of
/// files first, which container runtimes leave at 1024 for the sake of programs that use select(2).
pub(crate) fn connections(wanted: usize) -> usize {
    let mut files = getrlimit(Resource::Nofile);
    if files.current != files.maximum {
        files.current = files.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, files) {
            tracing::warn!(%error, "the limit of open files stays as it was");
        }
    }
    let possible = within(getrlimit(Resource::Nofile).current, wanted);
    if possible < wanted {
        tracing::warn!(wanted, possible, "fewer connections than configured: the process may not open more files");
    }
    possible
}

/// `files`: `None` is no limit.
fn within(files: Option<u64>, wanted: usize) -> usize {
    let Some(files) = files else { return wanted };
    let possible = files.saturating_sub(OWN_FILES) / FILES_PER_CONNECTION;
    wanted.min(usize::try_from(possible).unwrap_or(usize::MAX)).max(1)
}

/// Counts a connection that was accepted, or resets it.
pub(crate) fn take(worker: &Worker, side: Side, stream: &TcpStream) -> Option<Open> {
    let most = worker.shared.config.connections_max;
    let open = worker.shared.drain.open(side, most);
    if open.is_none() {
        // A reset leaves nothing behind in the kernel, whoever was refused how often.
        let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        let detail = format!("{most} connections are open, the most this proxy carries on this side");
        worker.report_refused(side, &Failure::new(Reason::Overloaded, detail).into());
    }
    open
}

/// Counts what is under way at once on a thread.
#[derive(Debug, Default)]
pub(crate) struct Places(Rc<Cell<u32>>);

/// Counts one until dropped.
#[derive(Debug)]
pub(crate) struct Place(Rc<Cell<u32>>);

impl Places {
    /// One more, unless there are `most` already.
    pub(crate) fn take(&self, most: u32) -> Option<Place> {
        let taken = self.0.get();
        (taken < most).then(|| {
            self.0.set(taken + 1);
            Place(Rc::clone(&self.0))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A place among those who wait for a connection to an upstream.
pub(crate) fn wait(waiting: &Places) -> Result<Place, Failure> {
    waiting.take(WAITING_MAX).ok_or_else(|| {
        Failure::new(Reason::Overloaded, format!("{WAITING_MAX} requests wait for a connection already"))
    })
}

#[cfg(test)]
mod tests;
