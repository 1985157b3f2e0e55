//! A TLS connection without its socket: ciphertext in and out, plaintext in and out, and what has been said last.

use std::io::{self, IoSlice};

use rustls::Error;
use tokio::io::ReadBuf;

use super::session::{Buffers, Session, Step};
use crate::buffer::{Buffer, LARGEST};
use crate::io::Intake;

/// Plaintext of a full record (RFC 8446 §5.1). Smaller first records would save a round trip while a connection's congestion window
/// is small; connections of the mesh are pooled and outlive that.
const RECORD_PLAIN: usize = 16 * 1024;
/// A full record on the wire.
const RECORD_WIRE: usize = 5 + RECORD_PLAIN + 1 + 16;
/// Ciphertext held at most in bulk: four full records, so that a peer's full records end where a read ends.
const BULK_BYTES: usize = 4 * RECORD_WIRE;
/// Room kept for what small pieces between large ones add, and for a key update: at most 16 records of one write.
const SLACK: usize = 512;
/// A piece of this length is a record of its own: one more record costs less than to copy it.
const PIECE: usize = RECORD_PLAIN / 2;
/// Ciphertext held at most: rustls collects a handshake message of up to 64 KiB in our buffer.
const INCOMING_MAX: usize = 2 * LARGEST;

/// See the module.
pub(super) struct Records {
    session: Session,
    /// Ciphertext that arrived.
    pub(super) incoming: Intake,
    /// Plaintext that nobody took yet: never more than was held as ciphertext.
    plain: Buffer,
    /// Ciphertext that was not sent yet.
    outgoing: Buffer,
    /// The peer said that nothing follows.
    ended: bool,
    /// We said so.
    closed: bool,
    failure: Option<Error>,
}

impl Records {
    /// At the start of the handshake.
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            incoming: Intake::new(BULK_BYTES),
            plain: Buffer::new(),
            outgoing: Buffer::new(),
            ended: false,
            closed: false,
            failure: None,
        }
    }

    /// The rustls connection.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Decrypted bytes.
    pub(super) fn plaintext(&self) -> &[u8] {
        self.plain.filled()
    }

    /// Removes `count` decrypted bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.plain.consume(count);
        self.plain.release();
    }

    /// Whether the peer said that nothing follows.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing that arrived is left, no end and no error either.
    pub(super) fn holds_nothing(&self) -> bool {
        self.plain.is_empty() && self.incoming.bytes.is_empty() && !self.ended && self.failure.is_none()
    }

    /// Bytes to be sent.
    pub(super) fn outgoing(&self) -> &[u8] {
        self.outgoing.filled()
    }

    /// Removes `count` bytes that were sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.outgoing.consume(count);
        self.outgoing.release();
    }

    /// Goes on with what arrived: until `direct` is full, or, if it has no room at all, with all of it. What finds no room in `direct`
    /// becomes [`plaintext`](Self::plaintext).
    ///
    /// # Errors
    /// The first error, again and again; the alert for the peer is then among the bytes to be sent.
    pub(super) fn open(&mut self, direct: &mut ReadBuf<'_>) -> io::Result<Step> {
        if self.incoming.bytes.is_empty() && self.failure.is_none() && !self.session.state().is_handshaking() {
            return Ok(Step::Idle);
        }
        let outcome = self.session_io(|session, buffers| {
            loop {
                match session.open(buffers, direct)? {
                    Step::Plaintext if buffers.incoming.is_empty() => return Ok(Step::Plaintext),
                    Step::Plaintext if direct.capacity() > 0 && direct.remaining() == 0 => return Ok(Step::Plaintext),
                    Step::Plaintext | Step::Message => {}
                    last => return Ok(last),
                }
            }
        });
        if self.incoming.bytes.len() >= INCOMING_MAX && outcome.is_ok() {
            self.failure = Some(Error::General(format!("a handshake message of more than {INCOMING_MAX} bytes")));
        }
        if self.ended {
            self.incoming.bytes.clear(); // "Any data received after a closure alert MUST be ignored" (RFC 8446 §6.1)
        }
        self.incoming.bytes.release();
        outcome
    }

    /// Encrypts from the front of `pieces` behind what is to be sent and returns how much: what all fits one record becomes one
    /// record, and no more than four are taken at once. 0: too much waits to be sent, or there is nothing to encrypt.
    ///
    /// # Errors
    /// After [`close`](Self::close), and the first error again.
    pub(super) fn seal(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.closed {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "written after shutdown"));
        }
        let records = LARGEST.saturating_sub(self.outgoing.len() + SLACK) / RECORD_WIRE;
        let total = pieces.iter().map(|piece| piece.len()).sum::<usize>().min(records * RECORD_PLAIN);
        if total > 0 {
            self.outgoing.space(total + SLACK);
            self.session_io(|session, buffers| seal(session, buffers, pieces, total))?;
        }
        Ok(total)
    }

    /// Says that nothing follows, if nothing else was the last word.
    pub(super) fn close(&mut self) {
        if !self.closed && self.failure.is_none() {
            // An error is kept for the reader; its alert was the last word then.
            let _ = self.session_io(|session, buffers| session.close(buffers));
        }
        self.closed = true;
    }

    /// Whether it holds a block of memory.
    #[cfg(test)]
    pub(super) fn has_block(&self) -> bool {
        self.incoming.bytes.has_block() || self.plain.has_block() || self.outgoing.has_block()
    }

    /// Lets the session work, and keeps its error.
    fn session_io<T>(
        &mut self,
        work: impl FnOnce(&mut Session, &mut Buffers<'_>) -> Result<T, Error>,
    ) -> io::Result<T> {
        if self.failure.is_none() {
            let mut buffers = Buffers {
                incoming: &mut self.incoming.bytes,
                plain: &mut self.plain,
                outgoing: &mut self.outgoing,
                ended: &mut self.ended,
            };
            match work(&mut self.session, &mut buffers) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    self.session.last_words(&mut self.outgoing);
                    self.incoming.bytes.clear();
                    self.failure = Some(error);
                }
            }
        }
        let error = self.failure.clone().unwrap_or(Error::HandshakeNotComplete);
        Err(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Encrypts the first `total` bytes of `pieces`.
fn seal(
    session: &mut Session,
    buffers: &mut Buffers<'_>,
    pieces: &[IoSlice<'_>],
    mut total: usize,
) -> Result<(), Error> {
    // What fits one record becomes one; otherwise only small pieces are gathered.
    let copied_below = if total <= RECORD_PLAIN { RECORD_PLAIN } else { PIECE };
    let mut gathered = Buffer::new();
    for piece in pieces {
        let mut piece = &piece[..piece.len().min(total)];
        total -= piece.len();
        while !piece.is_empty() {
            let alone = gathered.is_empty() && total == 0;
            if piece.len() < copied_below && !alone {
                let (first, rest) = piece.split_at(piece.len().min(RECORD_PLAIN - gathered.len()));
                gathered.extend(first);
                piece = rest;
                if gathered.len() < RECORD_PLAIN {
                    continue;
                }
            }
            if gathered.is_empty() {
                let (first, rest) = piece.split_at(piece.len().min(RECORD_PLAIN));
                session.seal(buffers, first)?;
                piece = rest;
            } else {
                session.seal(buffers, gathered.filled())?;
                gathered.clear();
            }
        }
    }
    if gathered.is_empty() { Ok(()) } else { session.seal(buffers, gathered.filled()) }
}
