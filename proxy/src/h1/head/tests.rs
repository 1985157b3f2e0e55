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
    assert!(read.keep_alive && read.idempotent && !read.old && !read.upgrade && !read.grpc);
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
    let target = |text| Target::parse(text).map(|target| (target.authority, target.path, target.query));
    assert_eq!(target("/a/b?c=d?e"), Ok((None, "/a/b", Some("c=d?e"))));
    assert_eq!(target("*"), Ok((None, "*", None)));
    assert_eq!(target("/a#b"), Ok((None, "/a", None)));
    assert_eq!(target("http://web.shop:80/a?b"), Ok((Some("web.shop:80"), "/a", Some("b"))));
    assert_eq!(target("HTTP://web?b"), Ok((Some("web"), "/", Some("b"))));
    for bad in ["a", "ftp://web/", "http://", "http:///a", "http://user@web/", "web:80"] {
        assert!(target(bad).is_err(), "{bad}");
    }
}
