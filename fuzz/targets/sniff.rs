//! First bytes of a connection: once decided, more bytes decide the same, whatever comes in which pieces.
#![no_main]

use tulle_proxy::parsers::{Sniffed, hello, http, server};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for sniff in [http as fn(&[u8]) -> Sniffed, hello] {
        let mut decided = Sniffed::Undecided;
        for end in 0..=input.len().min(600) {
            let now = sniff(&input[..end]);
            assert!(decided == Sniffed::Undecided || now == decided, "{decided:?} became {now:?} at {end} bytes");
            decided = now;
        }
        let whole = sniff(input);
        assert!(decided == Sniffed::Undecided || whole == decided, "{decided:?} became {whole:?} with all bytes");
    }
    let is_http2 = input.starts_with(b"PRI ");
    assert_eq!(http(input) == Sniffed::Is("HTTP/2"), is_http2);
    if input.first().is_some_and(|first| *first != 22) {
        assert_eq!(hello(input), Sniffed::Not);
    }
    let named = server(input);
    assert_eq!(named.is_some(), matches!(hello(input), Sniffed::Is(_)));
    if let Some(Some(name)) = named {
        assert!(
            !name.is_empty() && name.len() <= 253 && !name.bytes().any(|byte| byte.is_ascii_uppercase()),
            "{name:?}"
        );
    }
});
