use std::sync::mpsc::Receiver;

use super::*;
use crate::http::Version;
use crate::testing::view::Request;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn written(format: Format, request: &Request<'_>) -> String {
    let (log, lines): (AccessLog, Receiver<Vec<u8>>) = AccessLog::new(format);
    let mut line = Line::of_request(&log, Side::Client, Version::H1, request, (None, None));
    line.service = "shop/web".to_owned();
    line.route = Some("shop/web/canary".into());
    line.backend = "shop/web-v2".to_owned();
    line.endpoint = Some("10.0.0.7:8080".parse().unwrap());
    line.mtls = true;
    line.attempts = 2;
    line.answered(504, Duration::from_millis(250));
    line.failed(Reason::Timeout, Code::Timeout, Some(FailureId(7)));
    line.write(Duration::from_millis(251), (3, 5));
    String::from_utf8(lines.try_recv().unwrap()).unwrap()
}

fn request(path: &str) -> Request<'_> {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = vec![
        ("traceparent", traceparent),
        ("x-request-id", "r-1"),
        ("authorization", "Bearer planted-secret"),
        ("cookie", "planted-secret"),
    ];
    Request { path, headers }
}

#[test]
fn a_json_line_says_all_that_a_person_asks_for_at_night() {
    let line: serde_json::Value = serde_json::from_str(&written(Format::Json, &request("/items"))).unwrap();
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    let mut line = line;
    line.as_object_mut().unwrap().remove("time");
    let expected = serde_json::json!({
        "log": "access", "side": "client", "protocol": "HTTP/1.1",
        "method": "GET", "authority": "web.shop", "path": "/items", "status": 504,
        "reason": "timeout", "code": "TUL2004", "id": "0000000000000007",
        "answer_ms": 250.0, "duration_ms": 251.0, "request_bytes": 3, "response_bytes": 5,
        "service": "shop/web", "route": "shop/web/canary", "backend": "shop/web-v2", "endpoint": "10.0.0.7:8080",
        "mtls": true, "attempts": 2, "request_id": "r-1", "trace_id": TRACE,
    });
    assert_eq!(line, expected);
}

#[test]
fn a_text_line_has_the_same_fields() {
    let line = written(Format::Text, &request("/items"));
    let rest = line.split_once(' ').unwrap().1;
    let expected = "side=client protocol=HTTP/1.1 method=GET authority=web.shop path=/items status=504 reason=timeout \
                    code=TUL2004 id=0000000000000007 answer_ms=250.000 duration_ms=251.000 request_bytes=3 \
                    response_bytes=5 service=shop/web route=shop/web/canary backend=shop/web-v2 endpoint=10.0.0.7:8080 \
                    mtls=true attempts=2 request_id=r-1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n";
    assert_eq!(rest, expected);
}

#[test]
fn secrets_are_not_written() {
    for format in [Format::Json, Format::Text] {
        assert!(!written(format, &request("/items")).contains("planted"));
    }
}

#[test]
fn nothing_a_caller_sends_forges_a_line() {
    // A second line, a second field, an escape sequence of a terminal, a line separator, text that runs backwards.
    for path in
        ["/a\n{\"log\":\"access\"}", "/a status=200", "/\u{1b}[2J\u{9b}2J", "/\u{2028}x", "/\u{202e}x", "/\"x\\"]
    {
        for format in [Format::Json, Format::Text] {
            let line = written(format, &request(path));
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(line.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
            assert_eq!(
                line.matches(" status=").count(),
                usize::from(format == Format::Text) + line.matches("\"/a status=").count()
            );
        }
        let line: serde_json::Value = serde_json::from_str(&written(Format::Json, &request(path))).unwrap();
        assert_eq!(line["path"], path, "escaped, and read back the same");
    }
}

#[test]
fn what_a_caller_chose_is_cut() {
    let path = format!("/{}", "ü".repeat(10_000));
    let line: serde_json::Value = serde_json::from_str(&written(Format::Json, &request(&path))).unwrap();
    let path = line["path"].as_str().unwrap();
    assert!(path.len() <= PATH_BYTES_MAX + '…'.len_utf8() && path.ends_with("ü…"));
}

#[test]
fn a_trace_id_that_is_none_is_left_out() {
    for value in ["", "00", "00-xyz-1-01", &format!("00-{}-b7ad6b7169203331-01", "g".repeat(32))] {
        let request = Request { path: "/", headers: vec![("traceparent", value)] };
        assert!(!written(Format::Json, &request).contains("trace_id"), "{value:?}");
    }
}

#[test]
fn a_slow_reader_loses_lines_and_they_are_counted() {
    let (log, _lines) = AccessLog::new(Format::Text);
    for _ in 0..super::super::QUEUE + 3 {
        Line::of_connection(&log, Side::Server).write(Duration::ZERO, (0, 0));
    }
    assert_eq!(log.lost(), 3);
}
