//! The accepting side of a shared connection for the fuzz targets: bytes of a peer in, what is held because of them out.

use std::fmt;
use std::io;
use std::task::{Context, Waker};

use smallvec::SmallVec;

use super::driver::Parser;
use super::table::{self, Side, Table};

/// See the module.
pub struct Shared {
    parser: Parser,
    table: Table,
    opened: SmallVec<[u32; 16]>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { parser: Parser::default(), table: Table::new(Side::Acceptor), opened: SmallVec::new() }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

impl Shared {
    /// Most bytes a peer may make it hold: what the table's documentation promises.
    pub const HELD_MAX: usize = Self::STREAMS_MAX * table::CREDIT_FIRST as usize + table::SPARE as usize;
    /// Most connections it bears.
    pub const STREAMS_MAX: usize = table::STREAMS_MAX;

    /// Brings bytes of the peer into the table.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.parser.take(bytes, &mut self.table, &mut self.opened)
    }

    /// Reads everything that arrived, as readers that keep up do, and sends what that brings about.
    pub fn read_all(&mut self) {
        let cx = Context::from_waker(Waker::noop());
        let mut into = vec![0; 1024];
        for id in &self.opened {
            while let Ok(table::Read::Bytes(_)) = self.table.read(*id, &mut into, &cx) {}
        }
        let waiting = self.table.outgoing.len();
        self.table.sent(waiting);
    }

    /// Bytes that arrived and were not read.
    pub fn held(&self) -> usize {
        self.table.held()
    }

    /// Open connections.
    pub fn streams(&self) -> usize {
        self.table.open_streams()
    }

    /// Whether no connection has more credit than there is for one.
    pub fn credit_is_bounded(&self) -> bool {
        self.table.credit_is_bounded()
    }
}
