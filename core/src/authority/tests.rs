use proptest::prelude::*;

use super::*;

#[test]
fn hosts_and_ports() {
    let rows = [
        ("", "", None),
        ("web", "web", None),
        ("web.shop.svc.cluster.local:8080", "web.shop.svc.cluster.local", Some(8080)),
        ("web:", "web", None),
        ("web:0", "web", Some(0)),
        ("web:00080", "web", Some(80)),
        ("WEB_1.shop.", "WEB_1.shop.", None),
        ("10.0.0.1:80", "10.0.0.1", Some(80)),
        ("[fd00::1]:80", "[fd00::1]", Some(80)),
        ("[::1]", "[::1]", None),
        (":80", "", Some(80)),
    ];
    for (text, host, port) in rows {
        assert_eq!(Authority::parse(text.as_bytes()), Ok(Authority { text, host, port }), "{text}");
    }
}

#[test]
fn what_readers_disagree_about_is_none() {
    let rows = [
        ("web shop", BadAuthority::Character),
        ("web\t", BadAuthority::Character),
        ("web,shop", BadAuthority::Character),
        ("user@web", BadAuthority::Character),
        ("web/admin", BadAuthority::Character),
        ("web?x", BadAuthority::Character),
        ("web#x", BadAuthority::Character),
        ("web\\x", BadAuthority::Character),
        ("http://web", BadAuthority::Port),
        ("w%65b", BadAuthority::Character),
        ("w\u{e9}b", BadAuthority::Character),
        ("web\0", BadAuthority::Character),
        ("web:80:81", BadAuthority::Port),
        ("web:+80", BadAuthority::Port),
        ("web: 80", BadAuthority::Port),
        ("web:80 ", BadAuthority::Port),
        ("web:65536", BadAuthority::Port),
        ("fd00::1", BadAuthority::Port),
        ("[fd00::1", BadAuthority::Literal),
        ("[fd00::1%eth0]", BadAuthority::Literal),
        ("[v1.x]", BadAuthority::Literal),
        ("[web]", BadAuthority::Literal),
        ("[::1]x", BadAuthority::Character),
        ("[::1]]", BadAuthority::Character),
    ];
    for (text, error) in rows {
        assert_eq!(Authority::parse(text.as_bytes()), Err(error), "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read(host in "[a-zA-Z0-9._-]{0,40}", port in proptest::option::of(any::<u16>())) {
        let text = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        prop_assert_eq!(Authority::parse(text.as_bytes()), Ok(Authority { text: &text, host: &host, port }));
    }

    #[test]
    fn nothing_of_a_text_is_lost(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(Authority { host, port, .. }) = Authority::parse(&text) {
            prop_assert!(text.starts_with(host.as_bytes()));
            prop_assert!(port.is_some() || text.len() <= host.len() + 1);
        }
    }
}
