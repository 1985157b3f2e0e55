use super::*;

fn facts(input: &str) -> Result<Option<RequestFacts>, BadMessage> {
    request(input.as_bytes(), |head| head.facts).map(|read| read.map(|(_, facts)| facts))
}

fn answer(input: &str, asked: &str) -> Result<Option<ResponseFacts>, BadMessage> {
    let asked = facts(asked).expect("valid").expect("complete");
    response(input.as_bytes(), &asked, |head| head.facts).map(|read| read.map(|(_, facts)| facts))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

#[test]
fn a_head_is_read_once_it_is_whole() {
    for length in 0..GET.len() {
        assert!(facts(&GET[..length]).expect("so far valid").is_none(), "{length} bytes");
    }
    let read = facts(GET).expect("valid").expect("complete");
    assert_eq!(read.framing, Framing::Length(0));
    assert!(read.keep_alive && read.idempotent && !read.old && read.switch == Switch::No && !read.grpc);
}

#[test]
fn requests_are_framed_by_their_heads() {
    let framing = |fields: &str| {
        let read = facts(&format!("POST / HTTP/1.1\r\nHost: web\r\n{fields}\r\n"));
        read.map(|facts| facts.expect("complete").framing)
    };
    assert_eq!(framing(""), Ok(Framing::Length(0)));
    assert_eq!(framing("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing("Content-Length: 5\r\ncontent-length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing("Content-Length: 5, 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
}

#[test]
fn methods_that_some_read_in_capitals_are_refused() {
    for method in ["get", "gEt", "GeT", "pURGE"] {
        assert!(facts(&format!("{method} / HTTP/1.1\r\nHost: web\r\n\r\n")).is_err(), "{method}");
    }
    for method in ["PURGE", "M-SEARCH", "X_1"] {
        assert!(facts(&format!("{method} / HTTP/1.1\r\nHost: web\r\n\r\n")).is_ok(), "{method}");
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 5\r\n folded\r\n",
        "Host: other\r\n",
    ] {
        let refused = facts(&format!("POST / HTTP/1.1\r\nHost: web\r\n{fields}\r\n"));
        assert!(refused.is_err(), "{fields:?} was taken for {refused:?}");
    }
    assert!(facts("GET / HTTP/1.1\r\n\r\n").is_err(), "HTTP/1.1 without Host");
    assert!(facts("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err(), "chunks in HTTP/1.0");
}

#[test]
fn persistence_follows_version_and_connection() {
    let keeps = |version: &str, connection: &str| {
        let head = format!("GET / HTTP/{version}\r\nHost: web\r\nConnection: {connection}\r\n\r\n");
        facts(&head).expect("valid").expect("complete").keep_alive
    };
    assert!(keeps("1.1", "x"));
    assert!(!keeps("1.1", "x, Close"));
    assert!(!keeps("1.0", "x"));
    assert!(keeps("1.0", "Keep-Alive"));
}

#[test]
fn answers_are_framed_by_status_request_and_head() {
    let framing = |head: &str, asked: &str| answer(head, asked).map(|facts| facts.expect("complete").framing);
    assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", GET), Ok(Framing::Length(7)));
    assert_eq!(framing("HTTP/1.1 200\r\n\r\n", GET), Ok(Framing::Close));
    assert_eq!(framing("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", GET), Ok(Framing::Chunked));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\n\r\n", GET), Ok(Framing::Length(0)));
    assert_eq!(framing("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", GET), Ok(Framing::Length(0)));
    let head = "HEAD / HTTP/1.1\r\nHost: web\r\n\r\n";
    let read = answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", head).expect("valid").expect("complete");
    assert_eq!((read.framing, read.declared), (Framing::Length(0), Some(9)));
    assert!(framing("HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncontent-length: 8\r\n\r\n", GET).is_err());
    assert!(framing("HTTP/1.1 200 OK\r\ncontent-length: 7\r\ntransfer-encoding: chunked\r\n\r\n", GET).is_err());
    assert!(framing("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", GET).is_err());
}

#[test]
fn heads_are_bounded() {
    let long = format!("GET /{}", "a".repeat(HEAD_BYTES_MAX));
    assert!(facts(&long).is_err());
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert!(facts(&format!("GET / HTTP/1.1\r\nHost: web\r\n{many}\r\n")).is_err());
}

#[test]
fn targets_are_taken_apart() {
    let target = |method, text| Target::parse(method, text).map(|target| (target.authority, target.path, target.query));
    let rows = [
        ("GET", "/a/b?c=d?e", (None, "/a/b", Some("c=d?e"))),
        ("GET", "/a#b", (None, "/a", None)),
        ("GET", "/a?b#c?d", (None, "/a", Some("b"))),
        ("GET", "/?", (None, "/", Some(""))),
        ("GET", "http://web.shop:80/a?b", (Some("web.shop:80"), "/a", Some("b"))),
        ("GET", "HTTP://web?b", (Some("web"), "/", Some("b"))),
        ("GET", "https://[::1]:8443", (Some("[::1]:8443"), "/", None)),
        ("GET", "http://web#x", (Some("web"), "/", None)),
        ("OPTIONS", "*", (None, "*", None)),
        // RFC 9112 section 3.2.4: the last proxy sends an asterisk.
        ("OPTIONS", "http://web:8001", (Some("web:8001"), "*", None)),
        ("OPTIONS", "http://web/", (Some("web"), "/", None)),
        ("OPTIONS", "http://web?", (Some("web"), "/", Some(""))),
        ("CONNECT", "db.shop:5432", (Some("db.shop:5432"), "", None)),
        ("CONNECT", "[fd00::1]:443", (Some("[fd00::1]:443"), "", None)),
    ];
    for (method, text, parts) in rows {
        assert_eq!(target(method, text), Ok(parts), "{method} {text}");
    }
    for bad in [
        "a",
        "*",
        "*?a",
        "**",
        "ftp://web/",
        "http:/web",
        "http://",
        "http:///a",
        "http://user@web/",
        "http://we%62/",
        "web:80",
        "http://web:80:81/",
        "http://web,shop/",
        "http:\\\\web/",
        "://web/",
        "",
    ] {
        assert!(target("GET", bad).is_err(), "{bad}");
    }
    for bad in
        ["web", "web:", "web:0", ":80", "web:80/", "http://web:80", "/", "*", "web:99999", "user@web:80", "web:80#a"]
    {
        assert!(target("CONNECT", bad).is_err(), "{bad}");
    }
}

#[test]
fn lines_end_with_a_carriage_return_and_a_line_feed() {
    for head in [
        "GET / HTTP/1.1\nHost: web\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\n\n",
        "GET / HTTP/1.1\r\nHost: web\nX: y\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: web\r\n\r\n",
        "GET / HTTP/1.1\rHost: web\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\rb\r\nHost: web\r\n\r\n",
    ] {
        assert!(facts(head).is_err(), "{head:?}");
    }
}

#[test]
fn at_most_two_empty_lines_come_before_a_request() {
    assert!(facts(&format!("\r\n{GET}")).expect("valid").is_some());
    assert!(facts(&format!("\r\n\r\n{GET}")).expect("valid").is_some());
    assert!(facts(&format!("\r\n\r\n\r\n{GET}")).is_err());
    assert!(facts("\r\n\r\n\r\n").is_err(), "before anything else is there");
}

#[test]
fn request_lines_have_one_form() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /",
        "GET / HTTP/0.9",
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/01.1",
        "G(T / HTTP/1.1",
        "/ HTTP/1.1",
        "GET HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /a b HTTP/1.1",
    ] {
        assert!(facts(&format!("{line}\r\nHost: web\r\n\r\n")).is_err(), "{line:?}");
    }
}

#[test]
fn hosts_are_named_once_and_readably() {
    let host = |version: &str, lines: &str| facts(&format!("GET / HTTP/{version}\r\n{lines}\r\n")).is_ok();
    for (version, lines, fine) in [
        ("1.1", "Host: web:80\r\n", true),
        ("1.1", "Host:\r\n", true),
        ("1.0", "", true),
        ("1.0", "Host: web\r\n", true),
        ("1.1", "", false),
        ("1.1", "Host : web\r\n", false),
        ("1.1", "Host: web\r\nhost: web\r\n", false),
        ("1.0", "Host: web\r\nHost: other\r\n", false),
        ("1.1", "Host: web other\r\n", false),
        ("1.1", "Host: web, other\r\n", false),
        ("1.1", "Host: user@web\r\n", false),
        ("1.1", "Host: http://web\r\n", false),
        ("1.1", "Host: web/\r\n", false),
        ("1.1", "Host: web:x\r\n", false),
        ("1.1", "Host: w\u{e9}b\r\n", false),
    ] {
        assert_eq!(host(version, lines), fine, "HTTP/{version} {lines:?}");
    }
}

#[test]
fn connections_become_streams_of_bytes_when_both_sides_agree() {
    let switch = |head: &str| facts(head).expect("valid").expect("complete").switch;
    let offer = |upgrade: &str, connection: &str| {
        format!("GET / HTTP/1.1\r\nHost: web\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n\r\n")
    };
    assert_eq!(switch(&offer("websocket", "keep-alive, Upgrade")), Switch::Upgrade);
    assert_eq!(switch(&offer("websocket", "keep-alive")), Switch::No, "the option is missing");
    assert_eq!(switch("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"), Switch::No);
    let post = offer("WebSocket", "Upgrade").replacen("GET", "POST", 1);
    assert_eq!(switch(&post), Switch::No, "WebSocket is for GET");
    for http in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "h2c\r\nUpgrade: websocket"] {
        assert_eq!(switch(&offer(http, "upgrade, http2-settings")), Switch::No, "{http}");
    }
    assert_eq!(switch("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n"), Switch::Connect);
    assert!(facts("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\nContent-Length: 1\r\n\r\n").is_err());

    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let switched = |head: &str, asked: &str| answer(head, asked).map(|facts| facts.expect("complete").switched);
    let asked = offer("websocket", "upgrade");
    assert_eq!(switched(AGREED, &asked), Ok(true));
    assert_eq!(switched("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &asked), Ok(false));
    assert!(switched(AGREED, GET).is_err(), "nobody asked");
    assert!(switched(AGREED, &offer("h2c", "upgrade")).is_err(), "that was not passed on");
    assert!(switched("HTTP/1.1 101 X\r\n\r\n", &asked).is_err(), "which protocol?");
    assert!(switched("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", &asked).is_err());
    let connect = "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n";
    // RFC 9110 section 9.3.6: both lengths are ignored.
    for lines in ["", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"] {
        let read = answer(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), connect).expect("valid").expect("complete");
        assert_eq!((read.switched, read.framing, read.declared), (true, Framing::Length(0), None), "{lines:?}");
    }
    assert_eq!(switched("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", connect), Ok(false));
}

#[test]
fn a_connection_is_not_used_again_after_a_body_that_cannot_be() {
    let keeps = |head: &str| answer(head, GET).expect("valid").expect("complete").keep_alive;
    assert!(keeps("HTTP/1.1 204 No Content\r\n\r\n"));
    assert!(keeps("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn status_lines_that_mean_nothing_are_refused() {
    for line in [
        "HTTP/1.1 099 X",
        "HTTP/1.1 000 X",
        "HTTP/1.1 20 X",
        "HTTP/1.1 2000 X",
        "HTTP/2.0 200 OK",
        "ICY 200 OK",
        "200 OK",
    ] {
        assert!(answer(&format!("{line}\r\n\r\n"), GET).is_err(), "{line}");
    }
}

#[test]
fn a_head_that_grows_too_large_is_known_by_its_reason() {
    let long = format!("GET /{}", "a".repeat(HEAD_BYTES_MAX));
    let lines: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: web\r\n{lines}\r\n");
    for head in [long, many] {
        assert_eq!(facts(&head).expect_err("too large").reason, tulle_core::codes::Reason::HeadTooLarge);
    }
}
