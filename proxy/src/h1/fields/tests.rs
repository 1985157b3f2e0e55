use httparse::Header;

use super::*;

fn lines<'a>(text: &'a [(&'a str, &'a str)]) -> Vec<Header<'a>> {
    text.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
}

fn end_to_end(text: &[(&str, &str)]) -> Vec<String> {
    let lines = lines(text);
    let fields = Fields::classify(&lines).expect("readable");
    fields.end_to_end().map(|(line, _)| line.name.to_owned()).collect()
}

#[test]
fn what_belongs_to_one_hop_stays_behind() {
    // RFC 9110 section 7.6.1.
    for name in [
        "Connection",
        "keep-alive",
        "Proxy-Connection",
        "TE",
        "Transfer-Encoding",
        "upgrade",
        "HTTP2-Settings",
        "Tulle-Unprocessed",
    ] {
        assert!(end_to_end(&[(name, "x")]).is_empty(), "{name}");
    }
    // Of the ends, whatever a hop may think of them (RFC 9110 sections 6.6.2, 10.1.1, 11.7).
    for name in ["Trailer", "Expect", "Proxy-Authorization", "Via", "Max-Forwards", "Date", "Connection-Id", "TE2"] {
        assert_eq!(end_to_end(&[(name, "x")]), [name]);
    }
}

#[test]
fn what_connection_names_stays_behind() {
    // Spellings, order, several lines.
    for connection in ["x-a", "X-A", "close, x-a", ",x-a,", "x-b , x-a", "\tx-a\t", "keep-alive,x-a,te"] {
        assert!(end_to_end(&[("X-a", "1"), ("Connection", connection)]).is_empty(), "{connection:?}");
    }
    assert!(end_to_end(&[("Connection", "x-b"), ("x-a", "1"), ("connection", "x-a"), ("x-b", "2")]).is_empty());
    for connection in ["x-aa", "x", "x-a y", "x_a", "\"x-a\""] {
        assert_eq!(end_to_end(&[("x-a", "1"), ("Connection", connection)]), ["x-a"], "{connection:?}");
    }
}

#[test]
fn what_decides_cannot_be_named_away() {
    let named = "host, content-length, authorization, tulle-error, Tulle-Caller, transfer-encoding";
    let kept = end_to_end(&[
        ("Connection", named),
        ("Host", "web"),
        ("Content-Length", "1"),
        ("Authorization", "x"),
        ("Tulle-Caller", "x"),
    ]);
    assert_eq!(kept, ["Host", "Content-Length", "Authorization", "Tulle-Caller"]);
}

#[test]
fn options_of_a_connection_are_bounded() {
    let options = |count: usize| vec!["x"; count].join(", ");
    let read = |value: &str| Fields::classify(&lines(&[("Connection", value), ("connection", "close")])).map(|_| ());
    assert_eq!(read(&options(31)), Ok(()));
    assert_eq!(read(&options(32)), Err(BadMessage::new("Connection has more than 32 options")));
}

#[test]
fn trailers_are_taken_where_they_are_asked_for() {
    for (value, taken) in [
        ("trailers", true),
        ("Trailers", true),
        ("deflate;q=0.5, trailers", true),
        ("deflate", false),
        ("trailers2", false),
        ("", false),
    ] {
        let line = [("TE", value)];
        let lines = lines(&line);
        assert_eq!(Fields::classify(&lines).expect("readable").takes_trailers(), taken, "{value:?}");
    }
}

#[test]
fn trailers_cannot_say_what_only_a_head_may() {
    // RFC 9110 section 6.5.1: framing, routing, authentication, modifiers of the request, control of the response, the content's form.
    let refused = [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Trailer",
        "TE",
        "Upgrade",
        "Keep-Alive",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Proxy-Authorization",
        "X-Forwarded-For",
        "Forwarded",
        "Expect",
        "If-Match",
        "Range",
        "Max-Forwards",
        "Cache-Control",
        "Age",
        "Vary",
        "Location",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Tulle-Error",
        "Tulle-Unprocessed",
    ];
    for name in refused {
        let line = [(name, "1")];
        let lines = lines(&line);
        assert_eq!(Fields::classify(&lines).expect("readable").trailers().count(), 0, "{name}");
    }
    for name in ["Checksum", "Grpc-Status", "Server-Timing", "ETag", "Digest", "X-Anything"] {
        let line = [(name, "1")];
        let lines = lines(&line);
        assert_eq!(Fields::classify(&lines).expect("readable").trailers().count(), 1, "{name}");
    }
}

#[test]
fn the_last_of_many_lines_is_known_too() {
    for at in [0, 1, 63, 64, 127] {
        let mut text = [("x-other", "1"); 128];
        text[at] = ("Content-Length", "7");
        let lines = lines(&text);
        let fields = Fields::classify(&lines).expect("readable");
        assert_eq!(fields.first(Field::ContentLength), Some(b"7".as_slice()), "{at}");
        assert_eq!(fields.content_length(), Ok(Some(7)), "{at}");
        let kinds: Vec<_> = fields.end_to_end().map(|(_, kind)| kind).collect();
        assert_eq!(kinds.iter().position(|kind| *kind != Field::Other), Some(at));
    }
}
