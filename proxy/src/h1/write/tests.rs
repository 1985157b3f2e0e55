use super::*;
use crate::h1::head;

const DIALLED: &str = "10.0.0.7:80";

/// The head as the upstream gets it.
fn sent_on(head: &str) -> String {
    let mut out = Buffer::new();
    let read = head::request(head.as_bytes(), |head| {
        let target = Target::parse(head.method, head.target).expect("a target");
        request(&mut out, head, &target, target.path, &DIALLED, &Changes::default());
    });
    read.expect("valid").expect("complete");
    String::from_utf8(out.filled().to_vec()).expect("text")
}

/// The answer's head as the caller gets it.
fn answered(asked: &str, head: &str) -> String {
    let mut out = Buffer::new();
    let asked = head::request(asked.as_bytes(), |head| head.facts).expect("valid").expect("complete").1;
    let read = head::response(head.as_bytes(), &asked, |head| {
        response(&mut out, head, Manner::of(&asked, &head.facts, false), None);
    });
    read.expect("valid").expect("complete");
    String::from_utf8(out.filled().to_vec()).expect("text")
}

/// A rule, a head, and the same as the upstream gets it.
const REQUESTS: &[(&str, &str, &str)] = &[
    (
        "names keep their case, values lose their padding",
        "GET /a?b HTTP/1.1\r\nHost:  web \r\nX-Some:\ta b \r\nEmpty:\r\n\r\n",
        "GET /a?b HTTP/1.1\r\nHost: web\r\nX-Some: a b\r\nEmpty: \r\n\r\n",
    ),
    (
        "RFC 9112 3.2.2: the authority of the target replaces Host",
        "GET http://web:81/a HTTP/1.1\r\nX: y\r\nHost: other\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: web:81\r\nX: y\r\n\r\n",
    ),
    (
        "RFC 9112 2.3, 3.2: what HTTP/1.0 lacks is added",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: 10.0.0.7:80\r\n\r\n",
    ),
    (
        "RFC 9110 10.1.1: and an expectation, which it does not have, is ignored",
        "POST / HTTP/1.0\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\ncontent-length: 1\r\n\r\n",
    ),
    (
        "RFC 9112 3.2.4: options of the server",
        "OPTIONS http://web:81 HTTP/1.1\r\nHost: web\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: web:81\r\n\r\n",
    ),
    (
        "RFC 9110 7.6.1: what belongs to the hop before",
        "GET / HTTP/1.1\r\nHost: web\r\nConnection: close, x-a\r\nX-A: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\n\r\n",
    ),
    (
        "RFC 9112 6.3: lengths that agree become one",
        "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5, 5\r\nContent-Length: 005\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\ncontent-length: 5\r\n\r\n",
    ),
    (
        "RFC 9112 7.1: chunks are announced anew",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nHost: web\r\nTrailer: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: web\r\nTrailer: x\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        "RFC 9110 10.1.4: trailers are accepted, other codings are the hop's",
        "GET / HTTP/1.1\r\nHost: web\r\nTE: deflate;q=0.5, trailers\r\nConnection: TE\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nte: trailers\r\nconnection: te\r\n\r\n",
    ),
    (
        "RFC 9110 7.8: an upgrade is asked for",
        "GET / HTTP/1.1\r\nHost: web\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ),
    (
        "RFC 9113 3.1: an offer of HTTP/2 is passed over",
        "GET / HTTP/1.1\r\nHost: web\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\n\r\n",
    ),
    (
        "RFC 9112 3.2.3: a tunnel names its end twice",
        "CONNECT db:5432 HTTP/1.1\r\nHost: other\r\nContent-Length: 0\r\n\r\n",
        "CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n",
    ),
    (
        "RFC 9110 10.1.1: an expectation is the upstream's to meet",
        "PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    ),
];

#[test]
fn requests_are_sent_on_in_one_form() {
    for (rule, head, wanted) in REQUESTS {
        assert_eq!(sent_on(head), *wanted, "{rule}");
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: web\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";
const OLD_KEPT: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: web\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
const CONNECT: &str = "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\nConnection: close\r\n\r\n";

/// A rule, what is answered, a head, and the same as the caller gets it.
const RESPONSES: &[(&str, &str, &str, &str)] = &[
    (
        "of known length",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        "of a server of HTTP/1.0",
        GET,
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        "in chunks for HTTP/1.0",
        OLD,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ),
    (
        "RFC 9112 C.2.2",
        OLD_KEPT,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\n",
    ),
    (
        "the last one",
        LAST,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n",
    ),
    (
        "the upstream's last one",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        "RFC 9110 8.6: to HEAD",
        HEAD,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        "to HEAD, of unknown length",
        HEAD,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ),
    (
        "RFC 9110 8.6: not modified",
        GET,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n",
    ),
    (
        "RFC 9110 8.6: no content, no length",
        GET,
        "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "RFC 9112 6.1: no content, no coding",
        GET,
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "RFC 9110 8.6: interim, no length",
        LAST,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ),
    (
        "RFC 9110 15.2.2: switched",
        UPGRADE,
        "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ),
    (
        "RFC 9110 15.5.22: upgrade required",
        GET,
        "HTTP/1.1 426 No\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 No\r\ncontent-length: 0\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ),
    (
        "RFC 9110 9.3.6: a tunnel has no length",
        CONNECT,
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ),
    ("no reason", GET, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"),
    (
        "between proxies only",
        GET,
        "HTTP/1.1 503 No\r\nTulle-Unprocessed: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
    ),
];

#[test]
fn responses_are_passed_on_in_one_form() {
    for (rule, asked, head, wanted) in RESPONSES {
        assert_eq!(answered(asked, head), *wanted, "{rule}");
    }
}
