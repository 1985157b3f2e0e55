//! One direction of a stream: DATA frames as they come, then the trailers. The bytes are h2's own, never copied.
//!
//! The sender gets its window back as the receiver's window takes the bytes, so no more of a stream is held than both allow. A request
//! that may have to be sent again is kept until its answer begins, as far as it is small.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::h1::is_trailer;

/// Most of a request that is kept for another attempt.
const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Frames of it: each is bookkeeping of 32 bytes, however little is in it.
const REPLAY_FRAMES_MAX: usize = 1024;

/// Beginning of a message that goes without asking for room. h2 gives a new stream room only once its head was written; what is short
/// would be written, and encrypted, a second time.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// Frames below this are gathered while the receiver has no room: h2 counts the overhead of frames of less than 256 bytes that nobody
/// reads, and ends a connection with too many of them, and with it the streams of everybody else.
const SMALL_BYTES: usize = 256;

/// Why a direction ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The sender reset the stream, or its connection failed.
    Source(h2::Error),
    /// The receiver takes no more.
    Sink,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Flow {
    from: RecvStream,
    /// Received and not taken by the receiver yet.
    held: Bytes,
    /// Small frames behind `held`, as one.
    gathered: BytesMut,
    /// Whether the last frame was a small one.
    small: bool,
    /// How many of these bytes the sender has not got its window back for: no more than that window.
    owed: usize,
    /// What may still go without asking for room.
    ahead: usize,
    /// Whether the sender has finished.
    ended: bool,
    /// Trailers of a request that may have to be sent again; boxed, for hardly any request has some.
    trailers: Option<Box<HeaderMap>>,
    /// Whether the receiver was told the end.
    closed: bool,
    /// Whether this is a request.
    request: bool,
    kept: Option<Kept>,
    /// Bytes passed on.
    pub(super) passed: u64,
    /// What trailers say of a gRPC call.
    pub(super) grpc_status: Option<u32>,
}

/// What was received of a request since its beginning.
#[derive(Debug, Default)]
struct Kept {
    frames: SmallVec<[Bytes; 1]>,
    bytes: usize,
    /// The frame that comes next in this attempt.
    next: usize,
    /// Whether no other attempt follows: what is left is what this one has still to send.
    last: bool,
}

impl Flow {
    /// An answer.
    pub(super) fn answer(from: RecvStream) -> Self {
        Self {
            from,
            held: Bytes::new(),
            gathered: BytesMut::new(),
            small: false,
            owed: 0,
            ahead: AHEAD_BYTES_MAX,
            ended: false,
            trailers: None,
            closed: false,
            request: false,
            kept: None,
            passed: 0,
            grpc_status: None,
        }
    }

    /// A request, kept for another attempt.
    pub(super) fn request(from: RecvStream) -> Self {
        let ended = from.is_end_stream();
        Self { ended, closed: ended, request: true, kept: Some(Kept::default()), ..Self::answer(from) }
    }

    /// Whether there is nothing to pass on any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The body and the trailers of a request that was passed on whole and is still kept.
    pub(super) fn whole(&self) -> Option<(Bytes, Option<HeaderMap>)> {
        let kept = self.kept.as_ref().filter(|kept| self.closed && !kept.last)?;
        Some((kept.frames.concat().into(), self.trailers.as_deref().cloned()))
    }

    /// Passes on what there is. Ready when all of it was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, to: &mut SendStream<Bytes>) -> Poll<Result<(), Stop>> {
        loop {
            if !self.held.is_empty() && self.poll_hand_over(cx, to)?.is_pending() {
                return self.poll_gather(cx);
            }
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            if !self.gathered.is_empty() {
                self.held = self.gathered.split().freeze();
            } else if let Some(data) = self.kept.as_mut().and_then(Kept::again) {
                self.held = data;
            } else if self.ended {
                let trailers = self.trailers.as_deref().cloned();
                return Poll::Ready(self.close(trailers, to));
            } else {
                match ready!(self.from.poll_data(cx)) {
                    Some(Ok(data)) => {
                        self.took(&data);
                        self.held = data;
                    }
                    Some(Err(error)) => return Poll::Ready(Err(Stop::Source(error))),
                    None => {
                        let trailers = ready!(self.from.poll_trailers(cx)).map_err(Stop::Source)?;
                        let trailers = if self.request { trailers.and_then(permitted) } else { trailers };
                        return Poll::Ready(self.finish(trailers, to));
                    }
                }
            }
        }
    }

    /// Begins again, for another attempt. False: the beginning is gone.
    pub(super) fn rewind(&mut self) -> bool {
        let Some(kept) = self.kept.as_mut().filter(|kept| !kept.last) else { return false };
        kept.next = 0;
        self.closed = self.ended && self.trailers.is_none() && kept.frames.is_empty();
        (self.held, self.ahead, self.passed) = (Bytes::new(), AHEAD_BYTES_MAX, 0);
        self.gathered.clear();
        let owed = std::mem::take(&mut self.owed);
        self.release(owed);
        true
    }

    /// No further attempt: what was kept is of no more use.
    pub(super) fn forget(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.last = true;
        }
        if self.kept.as_ref().is_some_and(Kept::is_at_end) {
            self.kept = None;
        }
    }

    /// Takes small frames out of h2 while what is held waits for room. Never ready but with an error.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stop>> {
        while self.small && !self.ended && self.kept.as_ref().is_none_or(Kept::is_at_end) {
            match ready!(self.from.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.took(&data);
                    self.gathered.extend_from_slice(&data);
                }
                Some(Err(error)) => return Poll::Ready(Err(Stop::Source(error))),
                // The end is looked at again when its turn has come.
                None => break,
            }
        }
        Poll::Pending
    }

    /// A frame came from the sender.
    fn took(&mut self, data: &Bytes) {
        self.ended = self.from.is_end_stream();
        self.small = data.len() < SMALL_BYTES;
        self.owed += data.len();
        // Nothing comes from the sender while there is something to repeat.
        if !self.kept.as_mut().is_some_and(|kept| kept.push(data)) {
            self.kept = None;
        }
    }

    /// Hands `held` to the receiver, as far as its window and its unwritten bytes allow.
    fn poll_hand_over(&mut self, cx: &mut Context<'_>, to: &mut SendStream<Bytes>) -> Poll<Result<(), Stop>> {
        while !self.held.is_empty() {
            let room = ready!(self.poll_room(cx, to))?;
            let chunk = if room >= self.held.len() { std::mem::take(&mut self.held) } else { self.held.split_to(room) };
            let count = chunk.len();
            self.closed = self.held.is_empty() && self.gathered.is_empty() && self.is_last();
            to.send_data(chunk, self.closed).map_err(|_| Stop::Sink)?;
            self.passed += count as u64;
            let released = count.min(self.owed);
            self.owed -= released;
            self.release(released);
        }
        Poll::Ready(Ok(()))
    }

    /// How much of `held` may go now, more than 0.
    fn poll_room(&mut self, cx: &mut Context<'_>, to: &mut SendStream<Bytes>) -> Poll<Result<usize, Stop>> {
        if let Some(ahead) = self.ahead.checked_sub(self.held.len()) {
            self.ahead = ahead;
            return Poll::Ready(Ok(self.held.len()));
        }
        self.ahead = 0;
        to.reserve_capacity(self.held.len());
        loop {
            match to.capacity() {
                0 => {}
                room => return Poll::Ready(Ok(room)),
            }
            match ready!(to.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Stop::Sink)),
            }
        }
    }

    /// Whether nothing follows what was received.
    fn is_last(&self) -> bool {
        self.ended && self.trailers.is_none() && self.kept.as_ref().is_none_or(Kept::is_at_end)
    }

    /// The sender has finished, after all that was passed on.
    fn finish(&mut self, trailers: Option<HeaderMap>, to: &mut SendStream<Bytes>) -> Result<(), Stop> {
        self.ended = true;
        self.grpc_status = trailers.as_ref().and_then(grpc_status);
        if self.kept.as_ref().is_some_and(|kept| !kept.last) {
            self.trailers = trailers.clone().map(Box::new);
        }
        self.close(trailers, to)
    }

    fn close(&mut self, trailers: Option<HeaderMap>, to: &mut SendStream<Bytes>) -> Result<(), Stop> {
        self.closed = true;
        let sent = match trailers {
            Some(trailers) => to.send_trailers(trailers),
            None => to.send_data(Bytes::new(), true),
        };
        sent.map_err(|_| Stop::Sink)
    }

    fn release(&mut self, count: usize) {
        if count > 0 {
            // Fails only where there is nobody left to tell.
            let _ = self.from.flow_control().release_capacity(count);
        }
    }
}

/// Trailers of a request without those that only a head may have: there are servers that merge them into it (RFC 9110 §6.5.1).
fn permitted(mut trailers: HeaderMap) -> Option<HeaderMap> {
    let wrong: SmallVec<[HeaderName; 4]> = trailers.keys().filter(|name| !is_trailer(name.as_str())).cloned().collect();
    for name in wrong {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

/// The status of a gRPC call, where these are its trailers.
pub(super) fn grpc_status(trailers: &HeaderMap) -> Option<u32> {
    trailers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

impl Kept {
    /// Keeps a frame that is passed on now; false: it is too much.
    fn push(&mut self, data: &Bytes) -> bool {
        self.bytes += data.len();
        if self.last || self.bytes > REPLAY_BYTES_MAX || self.frames.len() >= REPLAY_FRAMES_MAX {
            return false;
        }
        self.frames.push(data.clone());
        self.next = self.frames.len();
        true
    }

    fn again(&mut self) -> Option<Bytes> {
        let frame = self.frames.get(self.next)?.clone();
        self.next += 1;
        Some(frame)
    }

    fn is_at_end(&self) -> bool {
        self.next == self.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(frames: &[&'static str]) -> Kept {
        let mut kept = Kept::default();
        for frame in frames {
            assert!(kept.push(&Bytes::from_static(frame.as_bytes())));
        }
        kept
    }

    #[test]
    fn what_was_kept_is_repeated_in_order() {
        let mut kept = kept(&["a", "b"]);
        assert!(kept.is_at_end() && kept.again().is_none());
        kept.next = 0;
        assert_eq!((kept.again().unwrap(), kept.again().unwrap()), ("a".into(), "b".into()));
        assert!(kept.is_at_end());
    }

    #[test]
    fn a_long_request_is_not_kept() {
        let frame = Bytes::from(vec![0; REPLAY_BYTES_MAX / 2]);
        let mut kept = Kept::default();
        assert!(kept.push(&frame) && kept.push(&frame));
        assert!(!kept.push(&Bytes::from_static(b"x")));
        let mut kept = Kept::default();
        assert_eq!((0..).take_while(|_| kept.push(&Bytes::from_static(b"x"))).count(), REPLAY_FRAMES_MAX);
    }
}
