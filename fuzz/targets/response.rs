//! Heads of responses: the caller reads what the proxy read, framed once, whatever was asked.
#![no_main]

use tulle_fuzz::take;
use tulle_proxy::parsers::{Asked, response};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let asked = match take(&mut input) % 4 {
        0 => Asked::Get,
        1 => Asked::Head,
        2 => Asked::Upgrade,
        _ => Asked::Connect,
    };
    let Ok(Some(first)) = response(input, asked) else { return };
    let shown = String::from_utf8_lossy(&first.forwarded);
    let again = match response(&first.forwarded, asked) {
        Ok(Some(again)) => again,
        other => panic!("what is forwarded is refused: {other:?}\n{shown}"),
    };
    assert_eq!(again.length, first.forwarded.len(), "more than one head is forwarded\n{shown}");
    assert_eq!((again.status, again.switched), (first.status, first.switched), "{shown}");
    assert_eq!(again.framing, first.framing, "{shown}");
    assert!(!again.unprocessed, "a word between proxies reached the caller\n{shown}");
    assert_eq!(again.forwarded, first.forwarded, "a second hop forwards another head");
});
