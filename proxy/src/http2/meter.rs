//! Tells a flood from use, by the types of frames alone: what a peer sends that moves no message has to be paid for by what does.
//!
//! A frame costs its sender a few nanoseconds, by the thousand in one write, and costs us and h2 a hundred times that. h2 bounds resets,
//! header blocks and small DATA frames, but answers PING and SETTINGS for ever, and takes priorities, window updates and unknown types for
//! nothing. Here each of those costs one, messages in either direction earn some, and time earns some: who keeps a connection alive or
//! measures its delay never notices.
//!
//! DATA frames that are empty and end nothing are paid for as well, and are taken out: h2 ends a connection after 100 of them however long
//! it has lived, but some applications send one for each flush.

use std::time::{Duration, Instant};

/// What a connection begins with.
const SPARE_FIRST: u32 = 500;
/// What can be saved up.
const SPARE_MAX: u32 = 2000;
/// When a peer has spent all, it gets as much as at the beginning if that lasted as long as this: 200 frames a second cost nothing.
const PERIOD: Duration = Duration::from_millis(2500);
/// An outgoing DATA frame this short may be all that the peer's window allows: no use, but a way to make work.
const DRIBBLE_BYTES: usize = 16;

/// Earned by a request or an answer: it may need window updates, a PING for the round trip, a priority, a reset.
const HEAD_EARNS: u32 = 4;
/// Earned by a request that we send, for itself and its answer: what a server says without being asked earns nothing.
const ASKED_EARNS: u32 = 8;
/// Earned by a DATA frame that we send: two window updates and a PING.
const SENT_DATA_EARNS: u32 = 4;

/// Length of a frame's head (RFC 9113 §4.1).
const HEAD_BYTES: usize = 9;
/// Length of what a client begins with (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// See the module.
#[derive(Debug)]
pub(super) struct Meter {
    received: Walk,
    sent: Walk,
    spare: u32,
    since: Instant,
    /// Whether the peer is who asks.
    asks: bool,
}

/// Where in a sequence of frames we are.
#[derive(Debug)]
struct Walk {
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of the payload that have not.
    payload: usize,
}

/// A frame's head.
#[derive(Clone, Copy, Debug)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The peer floods.
#[derive(Debug)]
pub(super) struct Flood;

impl Meter {
    /// For the connection of a caller, which begins with the preface.
    pub(super) fn of_caller() -> Self {
        let mut meter = Self::new(true);
        meter.received.payload = PREFACE_BYTES;
        meter
    }

    /// For a connection that we opened.
    pub(super) fn of_upstream() -> Self {
        let mut meter = Self::new(false);
        meter.sent.payload = PREFACE_BYTES;
        meter
    }

    fn new(asks: bool) -> Self {
        Self { received: Walk::new(), sent: Walk::new(), spare: SPARE_FIRST, since: Instant::now(), asks }
    }

    /// Judges received bytes and takes out frames that h2 need not see; the length of what is left.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) -> Result<usize, Flood> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            let rest = &bytes[from..];
            let count = if self.received.payload > 0 {
                let count = self.received.payload.min(rest.len());
                self.received.payload -= count;
                count
            } else if let (0, Some(head)) = (self.received.have, rest.first_chunk()) {
                let frame = Frame::read(head);
                self.judge(frame)?;
                if frame.is_empty_data() {
                    from += HEAD_BYTES;
                    continue;
                }
                self.received.payload = frame.length;
                HEAD_BYTES
            } else {
                let (count, frame) = self.received.gather(rest);
                if let Some(frame) = frame {
                    self.judge(frame)?;
                }
                count
            };
            if to < from {
                bytes.copy_within(from..from + count, to);
            }
            from += count;
            to += count;
        }
        Ok(to)
    }

    /// Notes bytes that we send.
    pub(super) fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.sent.payload.min(bytes.len());
            self.sent.payload -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let (count, frame) = self.sent.gather(bytes);
            bytes = &bytes[count..];
            match frame {
                Some(Frame { kind: HEADERS, .. }) => self.earn(if self.asks { HEAD_EARNS } else { ASKED_EARNS }),
                Some(Frame { kind: DATA, length, .. }) if length >= DRIBBLE_BYTES => self.earn(SENT_DATA_EARNS),
                _ => {}
            }
        }
    }

    fn judge(&mut self, frame: Frame) -> Result<(), Flood> {
        match frame.kind {
            HEADERS if self.asks => self.earn(HEAD_EARNS),
            DATA if frame.length > 0 || frame.flags & END_STREAM != 0 => self.earn(1),
            _ => return self.spend(),
        }
        Ok(())
    }

    fn earn(&mut self, count: u32) {
        self.spare = (self.spare + count).min(SPARE_MAX);
    }

    fn spend(&mut self) -> Result<(), Flood> {
        if self.spare == 0 {
            let now = Instant::now();
            if now.saturating_duration_since(self.since) < PERIOD {
                return Err(Flood);
            }
            (self.spare, self.since) = (SPARE_FIRST, now);
        }
        self.spare -= 1;
        Ok(())
    }
}

impl Walk {
    fn new() -> Self {
        Self { head: [0; HEAD_BYTES], have: 0, payload: 0 }
    }

    /// Takes bytes of a head: how many, and the frame when its head is complete.
    fn gather(&mut self, bytes: &[u8]) -> (usize, Option<Frame>) {
        let count = (HEAD_BYTES - self.have).min(bytes.len());
        self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
        self.have += count;
        if self.have < HEAD_BYTES {
            return (count, None);
        }
        let frame = Frame::read(&self.head);
        (self.have, self.payload) = (0, frame.length);
        (count, Some(frame))
    }
}

impl Frame {
    fn read(&[a, b, c, kind, flags, d, e, f, g]: &[u8; HEAD_BYTES]) -> Self {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        Self { length, kind, flags, stream: u32::from_be_bytes([d, e, f, g]) }
    }

    /// Whether it says nothing at all. On stream 0 it breaks the rules, which is for h2 to say.
    fn is_empty_data(self) -> bool {
        self.kind == DATA && self.length == 0 && self.flags & END_STREAM == 0 && self.stream != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    fn received(meter: &mut Meter, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let length = meter.receive(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// A caller that has begun.
    fn caller() -> Meter {
        let mut meter = Meter::of_caller();
        received(&mut meter, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        meter
    }

    #[test]
    fn empty_data_is_taken_out_wherever_reads_end() {
        let kept = [frame(HEADERS, 4, b"head"), frame(DATA, 0, b"one"), frame(DATA, 0, b"two"), frame(DATA, 1, b"")];
        let empty = frame(DATA, 0, b"");
        let sent = [&kept[0], &empty, &kept[1], &empty, &empty, &kept[2], &kept[3]].map(Vec::as_slice).concat();
        let whole = kept.concat();
        assert_eq!(received(&mut Meter::of_upstream(), &sent), Some(whole.clone()));
        for cut in 0..sent.len() {
            let mut meter = Meter::of_upstream();
            let parts = [&sent[..cut], &sent[cut..]].map(|part| received(&mut meter, part).unwrap());
            let all = parts.concat();
            // A frame whose head is cut has been passed on in part.
            assert!(all == whole || all.len() == whole.len() + HEAD_BYTES, "cut at {cut}");
        }
    }

    #[test]
    fn what_moves_nothing_ends_and_what_moves_messages_does_not() {
        for kind in [1, 2, 3, 4, 6, 8, 9, 0xfa] {
            let mut meter = Meter::of_upstream();
            let idle = frame(kind, 0, b"12345678");
            let passed = (0..10_000).take_while(|_| received(&mut meter, &idle).is_some()).count();
            assert_eq!(passed, SPARE_FIRST as usize, "type {kind}");
        }
        let mut meter = caller();
        let (update, ping) = (frame(8, 0, b"1234"), frame(6, 0, b"12345678"));
        for _ in 0..100_000 {
            meter.send(&frame(DATA, 0, &[7; 100]));
            received(&mut meter, &[&update[..], &update, &ping].concat()).unwrap();
        }
        for _ in 0..100_000 {
            received(&mut meter, &[frame(HEADERS, 5, b"head"), update.clone(), ping.clone()].concat()).unwrap();
        }
    }

    #[test]
    fn answers_that_were_asked_for_are_paid_for_by_the_requests() {
        let mut meter = Meter::of_upstream();
        meter.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let (head, update, ping) = (frame(HEADERS, 4, b"head"), frame(8, 0, b"1234"), frame(6, 0, b"12345678"));
        // A head, trailers, and what else a server may say.
        let answer = [&head[..], &frame(DATA, 0, b"one"), &update, &update, &ping, &head].concat();
        for _ in 0..100_000 {
            meter.send(&frame(HEADERS, 5, b"head"));
            received(&mut meter, &answer).unwrap();
        }
    }

    #[test]
    fn a_window_that_opens_by_the_byte_earns_nothing() {
        let mut meter = caller();
        let endured = (0..10_000).take_while(|_| {
            meter.send(&frame(DATA, 0, b"x"));
            received(&mut meter, &frame(8, 0, b"1234")).is_some()
        });
        assert_eq!(endured.count(), SPARE_FIRST as usize);
    }
}
