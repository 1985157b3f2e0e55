//! The connections on a shared connection: what arrived for each and was not taken, what each may send, and the frames to be sent.
//!
//! **Credit.** Each direction of each connection begins with [`CREDIT_FIRST`] bytes; the reader gives back what it has taken once that is
//! half of it. A reader that keeps up is given more, up to [`CREDIT_MAX`], as long as the shared connection has [`SPARE`] left.
//! So a peer can make a shared connection hold at most `STREAMS_MAX × CREDIT_FIRST + SPARE` bytes: 2 MiB.

use std::collections::HashMap;
use std::io;
use std::task::{Context, Waker};

use foldhash::fast::FixedState;

use super::frame::{self, DATA_BYTES_MAX, Frame, violation};
use crate::buffer::{Buffer, LARGEST};

/// Bytes a connection may send before the first credit comes back: nearly every head, and most bodies.
pub(super) const CREDIT_FIRST: u32 = 16 * 1024;
/// Most bytes under way in one direction of a connection: what the largest pooled block holds.
const CREDIT_MAX: u32 = 64 * 1024;
/// Credit all connections together may have beyond their first.
pub(super) const SPARE: u32 = 1024 * 1024;
/// Connections the accepting side bears: twice what the dialling side opens, because it hears of an end a little later.
pub(super) const STREAMS_MAX: usize = 2 * super::STREAMS;
/// Bytes of frames that wait to be encrypted before writers wait in turn: one write's worth of records.
const OUTGOING_MAX: usize = LARGEST - DATA_BYTES_MAX;

/// Frames that are not kept waiting for more of them.
const DUE: usize = 4 * 1024;
/// Frames that wait at most: more, and the peer makes us answer without reading the answers, so nothing more is read of it either.
const CLOGGED: usize = 4 * LARGEST;

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It dialled and opens connections.
    Opener,
    /// It accepts them.
    Acceptor,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    side: Side,
    /// Those whose handle is alive.
    entries: HashMap<u32, Entry, FixedState>,
    /// The highest number used so far; the first is 1.
    last: u32,
    /// Frames to be encrypted.
    pub(super) outgoing: Buffer,
    /// Wakes the driver when there are frames to send.
    driver: Option<Waker>,
    /// Writers waiting for room in `outgoing`.
    crowd: Vec<Waker>,
    spare: u32,
    /// We said that we leave.
    leaving: bool,
    /// The peer said so.
    peer_leaving: bool,
    /// Why all connections are over.
    failure: Option<io::ErrorKind>,
}

/// One connection.
#[derive(Debug)]
struct Entry {
    /// Arrived and not taken.
    input: Buffer,
    /// Bytes the peer may have under way.
    window: u32,
    /// Bytes of that it has not used.
    granted: u32,
    /// Bytes taken since the last credit given.
    taken: u32,
    /// Bytes we may send.
    credit: u32,
    /// We have ended our direction.
    ended: bool,
    /// The peer has ended its direction.
    peer_ended: bool,
    /// The peer has given up the connection, and how reads and writes say so.
    reset: Option<Reset>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            input: Buffer::new(),
            window: CREDIT_FIRST,
            granted: CREDIT_FIRST,
            taken: 0,
            credit: CREDIT_FIRST,
            ended: false,
            peer_ended: false,
            reset: None,
            reader: None,
            writer: None,
        }
    }
}

/// How the peer gave up a connection.
#[derive(Clone, Copy, Debug)]
enum Reset {
    /// After it took the connection.
    Taken,
    /// It never took it.
    Refused,
}

impl Reset {
    fn error(self, taken: io::ErrorKind) -> io::Error {
        match self {
            Self::Taken => taken.into(),
            Self::Refused => io::ErrorKind::ConnectionRefused.into(),
        }
    }
}

/// What a reader finds.
#[derive(Debug)]
pub(super) enum Read {
    /// This many bytes were taken.
    Bytes(usize),
    /// The peer has ended its direction.
    End,
    /// Nothing yet; the reader will be woken.
    Nothing,
}

impl Table {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            entries: HashMap::default(),
            last: 0,
            outgoing: Buffer::new(),
            driver: None,
            crowd: Vec::new(),
            spare: SPARE,
            leaving: false,
            peer_leaving: false,
            failure: None,
        }
    }

    /// Opens a connection unless `limit` are open, or one side leaves.
    pub(super) fn open(&mut self, limit: usize) -> Option<u32> {
        if self.is_leaving() || self.entries.len() >= limit {
            return None;
        }
        let Some(id) = self.last.checked_add(1) else {
            self.leave(); // four thousand million connections are enough for one
            return None;
        };
        self.last = id;
        self.entries.insert(id, Entry::default());
        self.send(id, Frame::Data(0)); // in the order of numbers, whoever speaks first
        Some(id)
    }

    /// Whether no further connection can be opened.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving || self.peer_leaving || self.failure.is_some()
    }

    /// Number of open connections.
    pub(super) fn open_streams(&self) -> usize {
        self.entries.len()
    }

    /// Says that this side leaves.
    pub(super) fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.send(0, Frame::Leave);
        }
    }

    /// Whether both sides leave and nothing is open: then the connection is over.
    pub(super) fn is_over(&self) -> bool {
        self.leaving && self.peer_leaving && self.entries.is_empty() && self.outgoing.is_empty()
    }

    /// Whether so much waits to be sent that nothing should be read.
    pub(super) fn is_clogged(&self) -> bool {
        self.outgoing.len() > CLOGGED
    }

    /// The driver's waker, once so much waits that the peer should have it while others here still write: two threads then work at
    /// once instead of in turn.
    pub(super) fn is_due(&self) -> Option<Waker> {
        (self.outgoing.len() >= DUE).then(|| self.driver.clone()).flatten()
    }

    /// Remembers whom to wake when there is something to send.
    pub(super) fn driven_by(&mut self, cx: &Context<'_>) {
        remember(&mut self.driver, cx);
    }

    /// Whether a connection goes on and holds nothing to be read.
    pub(super) fn is_quiet(&self, id: u32) -> bool {
        let quiet = |entry: &Entry| entry.input.is_empty() && !entry.peer_ended && entry.reset.is_none();
        self.failure.is_none() && self.entries.get(&id).is_some_and(quiet)
    }

    /// Takes bytes that arrived.
    ///
    /// # Errors
    /// The connection, or the shared connection, has failed. `ConnectionRefused`: nothing of it was read by the peer.
    pub(super) fn read(&mut self, id: u32, into: &mut [u8], cx: &Context<'_>) -> io::Result<Read> {
        let failure = self.failure;
        let Some(entry) = self.entries.get_mut(&id) else { return Err(io::ErrorKind::NotConnected.into()) };
        if entry.input.is_empty() {
            return match (entry.peer_ended, entry.reset, failure) {
                (true, ..) => Ok(Read::End),
                (false, Some(reset), _) => Err(reset.error(io::ErrorKind::ConnectionReset)),
                (false, None, Some(failure)) => Err(failure.into()),
                (false, None, None) => {
                    remember(&mut entry.reader, cx);
                    Ok(Read::Nothing)
                }
            };
        }
        let count = entry.input.len().min(into.len());
        into[..count].copy_from_slice(&entry.input.filled()[..count]);
        entry.input.consume(count);
        entry.input.release();
        entry.taken += u32::try_from(count).unwrap_or(u32::MAX); // at most a window
        if entry.taken >= entry.window / 2 && !entry.peer_ended {
            let credit = entry.give_back(&mut self.spare);
            self.send(id, Frame::Credit(credit));
        }
        Ok(Read::Bytes(count))
    }

    /// Queues bytes of `pieces` and returns how many; `None`: none now, and the writer will be woken.
    ///
    /// # Errors
    /// Our direction, the connection, or the shared connection is over. `ConnectionRefused`: nothing of it was read by the peer.
    pub(super) fn write(&mut self, id: u32, pieces: &[io::IoSlice<'_>], cx: &Context<'_>) -> io::Result<Option<usize>> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        let Some(entry) = self.entries.get_mut(&id) else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Some(reset) = entry.reset {
            return Err(reset.error(io::ErrorKind::BrokenPipe));
        }
        if entry.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let asked = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let total = asked.min(DATA_BYTES_MAX).min(entry.credit as usize);
        if total == 0 && asked > 0 {
            remember(&mut entry.writer, cx);
            return Ok(None);
        }
        if self.outgoing.len() > OUTGOING_MAX {
            self.crowd.push(cx.waker().clone());
            return Ok(None);
        }
        entry.credit -= total as u32;
        self.outgoing.space(frame::HEADER_BYTES + total);
        self.send(id, Frame::Data(total));
        let mut left = total;
        for piece in pieces {
            let count = piece.len().min(left);
            self.outgoing.extend(&piece[..count]);
            left -= count;
        }
        Ok(Some(total))
    }

    /// Ends our direction of a connection.
    pub(super) fn end(&mut self, id: u32) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !std::mem::replace(&mut entry.ended, true) && entry.reset.is_none() {
            self.send(id, Frame::End);
        }
    }

    /// Its handle is gone.
    pub(super) fn close(&mut self, id: u32) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.spare += entry.window - CREDIT_FIRST;
        let over = entry.reset.is_some() || (entry.ended && entry.peer_ended);
        if !over {
            self.send(id, Frame::Reset);
        } else if self.entries.is_empty() {
            self.wake_driver(); // it may have waited for the last one
        }
    }

    /// A frame's header arrived. True: it opens a connection.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub(super) fn received(&mut self, id: u32, frame: Frame) -> io::Result<bool> {
        match frame {
            Frame::Data(length) => return self.received_data(id, length),
            Frame::Leave => {
                self.peer_leaving = true;
                self.leave();
            }
            Frame::End | Frame::Reset | Frame::Refuse | Frame::Credit(_) => {
                let Some(entry) = self.entries.get_mut(&id) else { return Ok(false) };
                match frame {
                    Frame::End => entry.peer_ended = true,
                    Frame::Credit(credit) => {
                        entry.credit = entry.credit.saturating_add(credit);
                        if entry.credit > CREDIT_MAX {
                            return Err(violation("more credit was given than a connection can have"));
                        }
                    }
                    Frame::Refuse => entry.reset = Some(Reset::Refused),
                    _ => entry.reset = Some(Reset::Taken),
                }
                if !matches!(frame, Frame::Credit(_)) {
                    entry.reader.take().into_iter().for_each(Waker::wake);
                }
                if !matches!(frame, Frame::End) {
                    entry.writer.take().into_iter().for_each(Waker::wake);
                }
                if frame == Frame::Refuse {
                    self.leave(); // the peer has more to end than we have open: what comes next finds room elsewhere
                }
            }
        }
        Ok(false)
    }

    /// Data is announced: whether it opens a connection, and whether the credit covers it.
    fn received_data(&mut self, id: u32, length: usize) -> io::Result<bool> {
        let opens = id > self.last;
        if opens {
            if self.side == Side::Opener {
                return Err(violation("the accepting side opened a connection"));
            }
            self.last = id;
            if self.entries.len() >= STREAMS_MAX {
                self.send(id, Frame::Refuse);
                return Ok(false);
            }
            self.entries.insert(id, Entry::default());
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            let covered = u32::try_from(length).ok().and_then(|length| entry.granted.checked_sub(length));
            entry.granted = covered.ok_or_else(|| violation("more was sent than the credit allows"))?;
            if entry.peer_ended {
                return Err(violation("data follows the end of a connection"));
            }
        }
        Ok(opens)
    }

    /// Bytes of announced data. Those for a connection that is closed here are dropped: the peer could not know.
    pub(super) fn deliver(&mut self, id: u32, bytes: &[u8]) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.input.extend(bytes);
        entry.reader.take().into_iter().for_each(Waker::wake);
    }

    /// `outgoing` has room again.
    pub(super) fn sent(&mut self, count: usize) {
        self.outgoing.consume(count);
        self.outgoing.release();
        if self.outgoing.len() <= OUTGOING_MAX {
            self.crowd.drain(..).for_each(Waker::wake);
        }
    }

    /// The shared connection is over, and so are all connections on it.
    pub(super) fn fail(&mut self, kind: io::ErrorKind) {
        self.failure = Some(kind);
        for entry in self.entries.values_mut() {
            entry.reader.take().into_iter().chain(entry.writer.take()).for_each(Waker::wake);
        }
        self.crowd.drain(..).for_each(Waker::wake);
    }

    fn send(&mut self, id: u32, frame: Frame) {
        self.outgoing.extend(&frame::encode(id, frame));
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }
}

#[cfg(feature = "parsers")]
impl Table {
    /// Bytes that arrived and were not taken.
    pub(super) fn held(&self) -> usize {
        self.entries.values().map(|entry| entry.input.len()).sum()
    }

    /// Whether no entry may send, or be sent, more than a connection can have under way.
    pub(super) fn credit_is_bounded(&self) -> bool {
        let bounded = |entry: &Entry| entry.credit <= CREDIT_MAX && entry.granted <= entry.window;
        self.entries.values().all(|entry| bounded(entry) && entry.window <= CREDIT_MAX)
    }
}

impl Entry {
    /// The credit to give after bytes were taken: those, and more for a reader that keeps up.
    fn give_back(&mut self, spare: &mut u32) -> u32 {
        let mut credit = std::mem::take(&mut self.taken);
        if self.input.is_empty() && self.window < CREDIT_MAX && *spare >= self.window {
            *spare -= self.window;
            credit += self.window;
            self.window *= 2;
        }
        self.granted += credit;
        credit
    }
}

/// Keeps the waker of a task, without a copy where it is kept already.
fn remember(kept: &mut Option<Waker>, cx: &Context<'_>) {
    match kept {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        kept => *kept = Some(cx.waker().clone()),
    }
}
