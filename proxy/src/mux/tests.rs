//! Frames and credit by hand, then whole shared connections over loopback and real TLS.

mod hostile;
mod shared;

use std::task::{Context, Waker};

use super::driver::Parser;
use super::frame::{self, Frame, HEADER_BYTES};
use super::table::{CREDIT_FIRST, Read, Side, Table};

/// Two tables with a wire between them that a test moves by hand.
struct Ends {
    opener: Table,
    acceptor: Table,
    /// Connections the acceptor was told of.
    opened: Vec<u32>,
}

impl Ends {
    fn new() -> Self {
        Self { opener: Table::new(Side::Opener), acceptor: Table::new(Side::Acceptor), opened: Vec::new() }
    }

    /// Brings everything to the other side until nothing is under way.
    fn settle(&mut self) {
        while !self.opener.outgoing.is_empty() || !self.acceptor.outgoing.is_empty() {
            self.opened.extend(carry(&mut self.opener, &mut self.acceptor));
            carry(&mut self.acceptor, &mut self.opener);
        }
    }
}

/// Brings what `from` sends to `to`; the connections it opened.
fn carry(from: &mut Table, to: &mut Table) -> Vec<u32> {
    let bytes = from.outgoing.filled().to_vec();
    from.sent(bytes.len());
    let (mut bytes, mut opened) = (&bytes[..], Vec::new());
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let (id, frame) = frame::decode(*header).unwrap();
        if to.received(id, frame).unwrap() {
            opened.push(id);
        }
        bytes = rest;
        if let Frame::Data(length) = frame {
            to.deliver(id, &bytes[..length]);
            bytes = &bytes[length..];
        }
    }
    opened
}

fn write(table: &mut Table, id: u32, bytes: &[u8]) -> Option<usize> {
    table.write(id, &[std::io::IoSlice::new(bytes)], &context()).unwrap()
}

fn read(table: &mut Table, id: u32) -> Option<Vec<u8>> {
    let mut into = vec![0; 1024 * 1024];
    match table.read(id, &mut into, &context()).unwrap() {
        Read::Bytes(count) => Some(into[..count].to_vec()),
        Read::End => Some(Vec::new()),
        Read::Nothing => None,
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[test]
fn frames_are_read_as_they_were_written() {
    let frames = [
        Frame::Data(0),
        Frame::Data(16_376),
        Frame::End,
        Frame::Reset,
        Frame::Refuse,
        Frame::Credit(65_536),
        Frame::Leave,
    ];
    for frame in frames {
        assert_eq!(frame::decode(frame::encode(7, frame)).unwrap(), (7, frame));
    }
    assert_eq!(frame::decode([0, 0, 0, 1, 2, 0, 0, 2]).unwrap(), (1, Frame::Reset), "for a reason yet unknown");
    assert!(frame::decode([0, 0, 0, 1, 0, 0, 0x3f, 0xf9]).is_err(), "more than a record");
    assert!(frame::decode([0, 0, 0, 1, 5, 0, 0, 0]).is_err(), "an unknown kind");
}

#[test]
fn it_does_not_matter_where_the_network_cuts() {
    let mut opener = Table::new(Side::Opener);
    let (first, second) = (opener.open(8).unwrap(), opener.open(8).unwrap());
    write(&mut opener, second, b"a longer message");
    write(&mut opener, first, b"short");
    opener.end(second);
    let sent = opener.outgoing.filled().to_vec();
    for size in 1..sent.len() {
        let (mut parser, mut table, mut opened) = (Parser::default(), Table::new(Side::Acceptor), Default::default());
        for piece in sent.chunks(size) {
            parser.take(piece, &mut table, &mut opened).unwrap();
        }
        assert_eq!(opened[..], [first, second], "pieces of {size}");
        assert_eq!(read(&mut table, first).unwrap(), b"short");
        assert_eq!(read(&mut table, second).unwrap(), b"a longer message");
        assert_eq!(read(&mut table, second).unwrap(), b"", "the end");
    }
}

#[test]
fn bytes_arrive_on_their_connection_whoever_speaks_first() {
    let mut ends = Ends::new();
    let (first, second) = (ends.opener.open(8).unwrap(), ends.opener.open(8).unwrap());
    assert_eq!(write(&mut ends.opener, second, b"two"), Some(3));
    assert_eq!(write(&mut ends.opener, first, b"one"), Some(3));
    ends.settle();
    assert_eq!(ends.opened, [first, second]);
    assert_eq!(read(&mut ends.acceptor, first).unwrap(), b"one");
    assert_eq!(read(&mut ends.acceptor, second).unwrap(), b"two");
    assert_eq!(read(&mut ends.acceptor, second), None);
}

#[test]
fn each_direction_ends_by_itself() {
    let mut ends = Ends::new();
    let id = ends.opener.open(8).unwrap();
    write(&mut ends.opener, id, b"all I say");
    ends.opener.end(id);
    ends.settle();
    assert_eq!(read(&mut ends.acceptor, id).unwrap(), b"all I say");
    assert_eq!(read(&mut ends.acceptor, id).unwrap(), b"", "the end");
    assert!(ends.opener.write(id, &[std::io::IoSlice::new(b"more")], &context()).is_err());
    write(&mut ends.acceptor, id, b"an answer");
    ends.settle();
    assert_eq!(read(&mut ends.opener, id).unwrap(), b"an answer");
}

#[test]
fn what_arrived_before_a_reset_can_be_read() {
    let mut ends = Ends::new();
    let id = ends.opener.open(8).unwrap();
    ends.settle();
    write(&mut ends.acceptor, id, b"last words");
    ends.acceptor.close(id);
    ends.settle();
    assert_eq!(read(&mut ends.opener, id).unwrap(), b"last words");
    let error = ends.opener.read(id, &mut [0; 8], &context()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_writer_gets_as_far_as_the_reader_and_no_further() {
    let mut ends = Ends::new();
    let id = ends.opener.open(8).unwrap();
    ends.settle();
    let mut sent = 0;
    while let Some(count) = write(&mut ends.opener, id, &[7; 100_000]) {
        sent += count;
        ends.settle();
    }
    assert_eq!(sent, CREDIT_FIRST as usize, "nobody has read");
    let mut received = 0;
    for _ in 0..100 {
        received += read(&mut ends.acceptor, id).map_or(0, |bytes| bytes.len());
        ends.settle();
        while let Some(count) = write(&mut ends.opener, id, &[7; 100_000]) {
            sent += count;
            ends.settle();
        }
    }
    assert!(sent > 4 * 1024 * 1024, "a reader that keeps up is given more at once: {sent}");
    assert!(sent - received <= 64 * 1024, "under way: {}", sent - received);
}

#[test]
fn all_connections_together_are_given_a_bounded_credit() {
    let mut ends = Ends::new();
    let ids: Vec<u32> = std::iter::from_fn(|| ends.opener.open(super::STREAMS)).collect();
    assert_eq!(ids.len(), super::STREAMS);
    ends.settle();
    let mut under_way = 0;
    for id in &ids {
        // Each reader keeps up for a while, and then stalls.
        for _ in 0..20 {
            while write(&mut ends.opener, *id, &[7; 100_000]).is_some() {
                ends.settle();
            }
            while read(&mut ends.acceptor, *id).is_some() {
                ends.settle();
            }
        }
        while let Some(count) = write(&mut ends.opener, *id, &[7; 100_000]) {
            under_way += count;
            ends.settle();
        }
    }
    let bound = super::STREAMS * CREDIT_FIRST as usize + 1024 * 1024;
    assert!(under_way <= bound, "{under_way} of {bound}");
    assert!(under_way > bound / 2, "the spare credit is used: {under_way}");
}

#[test]
fn a_side_that_leaves_still_serves_what_is_open() {
    let mut ends = Ends::new();
    let id = ends.opener.open(8).unwrap();
    write(&mut ends.opener, id, b"question");
    ends.acceptor.leave(); // before it has heard of the connection
    ends.settle();
    assert_eq!(ends.opened, [id]);
    assert!(ends.opener.open(8).is_none());
    assert!(!ends.acceptor.is_over() && !ends.opener.is_over());
    assert_eq!(read(&mut ends.acceptor, id).unwrap(), b"question");
    write(&mut ends.acceptor, id, b"answer");
    ends.acceptor.close(id);
    ends.settle();
    assert_eq!(read(&mut ends.opener, id).unwrap(), b"answer");
    ends.opener.close(id);
    ends.settle();
    assert!(ends.acceptor.is_over() && ends.opener.is_over());
}
