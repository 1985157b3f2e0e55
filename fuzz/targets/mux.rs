//! Frames of a shared connection: a peer that sends anything makes the table hold no more than its credit, however bytes are cut.
#![no_main]

use tulle_fuzz::take;
use tulle_proxy::parsers::Shared;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let step = usize::from(take(&mut input)) + 1;
    let reads = take(&mut input) & 1 == 1;
    let (mut cut, mut whole) = (Shared::default(), Shared::default());
    let mut outcome = Ok(());
    for piece in input.chunks(step) {
        outcome = outcome.and_then(|()| cut.take(piece));
        assert!(cut.held() <= Shared::HELD_MAX, "{} bytes are held", cut.held());
        assert!(cut.streams() <= Shared::STREAMS_MAX, "{} connections are open", cut.streams());
        if outcome.is_ok() && reads {
            cut.read_all();
        }
    }
    // Who breaks the rules is cut off: what it said last no longer counts.
    assert!(outcome.is_err() || cut.credit_is_bounded(), "more credit is out than a connection may have");
    if !reads {
        let at_once = whole.take(input);
        assert_eq!(at_once.is_ok(), outcome.is_ok(), "cut every {step} bytes it reads differently");
        assert_eq!((whole.held(), whole.streams()), (cut.held(), cut.streams()));
    }
});
