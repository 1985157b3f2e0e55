//! SPIFFE ids: one spelling. What is accepted prints back, and is what its parts make; certificates of any bytes name nobody by accident.
#![no_main]

use tulle_core::identity::SpiffeId;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(id) = tulle_proxy::parsers::certificate(input) {
        assert!(input.windows(id.len()).any(|window| window == id.as_bytes()), "{id} is nowhere in the certificate");
        assert_eq!(id.parse::<SpiffeId>().expect("an id").as_str(), id);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(id) = text.parse::<SpiffeId>() else { return };
    assert_eq!(id.as_str(), text);
    let again = SpiffeId::new(id.trust_domain(), id.namespace(), id.service_account()).expect("its own parts");
    assert_eq!(again, id);
    let free = |part: &str| !part.is_empty() && !part.contains(['/', '%', ':', '@', '?', '#']) && part.is_ascii();
    assert!(free(id.trust_domain().as_str()) && free(id.namespace()) && free(id.service_account()), "{text:?}");
    assert_eq!(text.to_ascii_lowercase(), text, "two spellings of one id");
});
