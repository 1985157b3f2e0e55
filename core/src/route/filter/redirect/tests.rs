use super::*;
use crate::route::filter::testing::Asked;

fn redirect() -> Redirect {
    Redirect {
        status: 301,
        scheme: None,
        authority: None,
        port: RedirectPort::default(),
        path: RedirectPath::default(),
    }
}

fn asked(authority: &'static str, path: &'static str, query: Option<&'static str>) -> Asked {
    Asked { authority: Some(authority), path, query, ..Asked::default() }
}

#[test]
fn the_address_a_caller_is_sent_to() {
    use RedirectPort::{Dialled, Number, OfScheme};
    let web = || asked("web", "/a/b", Some("q=1"));
    let at = |authority| asked(authority, "/", None);
    let to = |authority: &str| Redirect { authority: Some(authority.into()), ..redirect() };
    let https = || Redirect { scheme: Some("https".into()), ..redirect() };
    let port = |port, base: Redirect| Redirect { port, ..base };
    let path = |path| Redirect { path, ..redirect() };
    let whole = |text: &str| path(RedirectPath::Whole(text.into()));
    let prefix = |text: &str| path(RedirectPath::Prefix(text.into()));
    let rows = [
        // What is not given stays.
        (redirect(), web(), "http://web/a/b?q=1"),
        (redirect(), at("web:8080"), "http://web:8080/"),
        (to("other"), web(), "http://other/a/b?q=1"),
        (to("other:81"), at("web:8080"), "http://other:81/"),
        (to("[::1]:81"), at("web"), "http://[::1]:81/"),
        (to("[::1]"), at("web:8080"), "http://[::1]/"),
        // A path replaces all of it, a prefix what the rule matched.
        (whole("/new"), web(), "http://web/new?q=1"),
        (whole("/new?own=1"), web(), "http://web/new?own=1"),
        (prefix("/new"), web(), "http://web/new/b?q=1"),
        // The port.
        (port(Number(8443), https()), at("web:80"), "https://web:8443/"),
        (port(Number(443), https()), at("web"), "https://web/"),
        (port(Number(443), redirect()), at("web"), "http://web:443/"),
        (port(OfScheme, redirect()), at("web:8080"), "http://web/"),
        (port(OfScheme, https()), at("web:8080"), "https://web/"),
        (port(Dialled, redirect()), at("web"), "http://web:8000/"),
        (port(Dialled, to("other:81")), at("web"), "http://other:8000/"),
        (https(), at("web:80"), "https://web/"),
        (https(), at("web:8080"), "https://web:8080/"),
        (redirect(), at("web:80"), "http://web/"),
        (Redirect { authority: Some("o:80".into()), ..https() }, at("web"), "https://o:80/"),
        // HTTP/1.0 may name no host: the address is relative.
        (whole("/new"), Asked { path: "/a", ..Asked::default() }, "/new"),
    ];
    for (redirect, request, expected) in rows {
        let location = redirect.location(&request, 8000, Matched::Prefix(2));
        assert_eq!(location.as_deref(), Ok(expected), "{redirect:?} {request:?}");
    }
}

#[test]
fn a_host_and_its_port() {
    let rows = [
        ("web", ("web", None)),
        ("web:80", ("web", Some(80))),
        ("web:", ("web", None)),
        ("web:x", ("web:x", None)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:80", ("[::1]", Some(80))),
    ];
    for (authority, expected) in rows {
        assert_eq!(split_port(authority), expected, "{authority}");
    }
}
