//! Authorities: the parts are the whole, of characters every reader takes for a host, and agree with a second parser.
#![no_main]

use tulle_core::authority::Authority;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(authority) = Authority::parse(input) else { return };
    assert_eq!(authority.text.as_bytes(), input);
    let rest = authority.text.strip_prefix(authority.host).expect("the host comes first");
    match authority.port {
        None => assert!(matches!(rest, "" | ":"), "{rest:?} is no port"),
        Some(port) => assert_eq!(rest.strip_prefix(':').and_then(|digits| digits.parse().ok()), Some(port), "{rest:?}"),
    }
    assert!(!authority.host.contains(['@', '/', '?', '#', ',', ' ', '\\', '%']), "{:?}", authority.host);
    assert_eq!(authority.host.contains(':'), authority.host.starts_with('['), "{:?}", authority.host);
});
