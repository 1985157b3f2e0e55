//! Heads of requests: what is forwarded is read again as the same request, framed once, and says nothing of the hop it came from.
#![no_main]

use tulle_proxy::parsers::request;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(Some(first)) = request(input) else { return };
    assert!(input[..first.length].ends_with(b"\n"), "the head ends within a line");
    for short in [0, first.length / 2, first.length - 1] {
        assert!(!matches!(request(&input[..short]), Ok(Some(_))), "{short} bytes of it are a head, too");
    }
    let shown = String::from_utf8_lossy(&first.forwarded);
    let again = match request(&first.forwarded) {
        Ok(Some(again)) => again,
        other => panic!("what is forwarded is refused: {other:?}\n{shown}"),
    };
    assert_eq!(again.length, first.forwarded.len(), "more than one head is forwarded\n{shown}");
    assert_eq!((again.framing, again.method), (first.framing, first.method), "{shown}");
    assert_eq!(again.path, first.path, "{shown}");
    assert_eq!((again.switches, again.expects_continue), (first.switches, first.expects_continue), "{shown}");
    assert_eq!(again.forwarded, first.forwarded, "a second hop forwards another head");
    let lower = first.forwarded.to_ascii_lowercase();
    let count = |name: &[u8]| lower.windows(name.len()).filter(|window| *window == name).count();
    assert_eq!(count(b"\r\nhost: "), 1, "{shown}");
    assert!(count(b"\r\ncontent-length: ") + count(b"\r\ntransfer-encoding: ") <= 1, "{shown}");
    for gone in ["keep-alive", "proxy-connection", "http2-settings", "tulle-unprocessed"] {
        assert_eq!(count(format!("\r\n{gone}: ").as_bytes()), 0, "{gone} travels on\n{shown}");
    }
});
