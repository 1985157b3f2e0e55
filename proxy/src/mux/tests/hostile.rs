//! A peer that does not keep to the protocol: refused, or bounded.

use super::*;

fn acceptor() -> Table {
    Table::new(Side::Acceptor)
}

#[test]
fn data_beyond_the_credit_ends_the_connection() {
    let mut table = acceptor();
    table.received(1, Frame::Data(16_000)).unwrap();
    table.deliver(1, &[0; 16_000]);
    let error = table.received(1, Frame::Data(16_000)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn data_behind_the_end_ends_the_connection() {
    let mut table = acceptor();
    table.received(1, Frame::Data(0)).unwrap();
    table.received(1, Frame::End).unwrap();
    assert!(table.received(1, Frame::Data(1)).is_err());
}

#[test]
fn credit_without_measure_ends_the_connection() {
    let mut table = acceptor();
    table.received(1, Frame::Data(0)).unwrap();
    assert!(table.received(1, Frame::Credit((1 << 24) - 1)).is_err());
}

#[test]
fn the_accepting_side_opens_nothing() {
    assert!(Table::new(Side::Opener).received(1, Frame::Data(0)).is_err());
}

#[test]
fn frames_of_connections_that_are_gone_are_ignored() {
    let mut table = acceptor();
    table.received(3, Frame::Data(0)).unwrap();
    table.close(3);
    for frame in [Frame::Data(5), Frame::End, Frame::Reset, Frame::Credit(1)] {
        assert!(!table.received(3, frame).unwrap());
        assert!(!table.received(2, frame).unwrap(), "numbers that were passed over are gone as well");
    }
    table.deliver(3, b"12345");
    assert_eq!(table.open_streams(), 0);
}

#[test]
fn a_flood_of_connections_is_refused_beyond_a_bound() {
    let mut table = acceptor();
    let accepted = (1..1_000).filter(|id| table.received(*id, Frame::Data(0)).unwrap()).count();
    assert_eq!((accepted, table.open_streams()), (2 * crate::mux::STREAMS, 2 * crate::mux::STREAMS));
    // Those it gives up stay counted until their handles are gone, so opening and resetting in turn gets nowhere either.
    for id in 1..=2 * crate::mux::STREAMS as u32 {
        table.received(id, Frame::Reset).unwrap();
    }
    assert!(!table.received(1_001, Frame::Data(0)).unwrap());
}

#[test]
fn a_peer_that_takes_no_refusals_is_not_read_any_more() {
    let mut table = acceptor();
    let mut id = 0;
    while !table.is_clogged() {
        id += 1;
        table.received(id, Frame::Data(0)).unwrap();
        assert!(id < 1_000_000, "refusals are gathered without bound");
    }
    table.sent(table.outgoing.len());
    assert!(!table.is_clogged());
}
