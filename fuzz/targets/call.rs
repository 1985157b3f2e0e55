//! Heads of HTTP/2 requests: what is forwarded has one method, one host and one path, and the next proxy reads the same.
#![no_main]

use std::time::Duration;

use tulle_core::authority::Authority;
use tulle_core::path::normalize;
use tulle_proxy::parsers::{Call, call};

/// Most a gRPC caller can say: eight digits, hours.
const DEADLINE_MAX: Duration = Duration::from_secs(99_999_999 * 3600);

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut fields = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let mut next = || fields.next().unwrap_or_default();
    let (method, scheme, authority, path) = (next(), next(), next(), next());
    let lines = fields.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((line[..colon].to_vec(), line[colon + 1..].to_vec()))
    });
    let asked = Call { method, scheme, authority, path, lines: lines.collect() };
    let Some(Ok((told, deadline))) = call(&asked) else { return };
    assert_eq!(told.method, asked.method);
    assert!(!told.method.iter().any(u8::is_ascii_lowercase));
    assert!(deadline.is_none_or(|deadline| deadline <= DEADLINE_MAX), "{deadline:?}");
    assert!(Authority::parse(&told.authority).is_ok_and(|host| !host.host.is_empty()), "{told:?}");
    let text = std::str::from_utf8(&told.path).expect("text");
    let path = text.split('?').next().unwrap_or_default();
    assert!(path.starts_with('/') || text == "*" && told.method == b"OPTIONS", "{text}");
    assert_eq!(normalize(path).as_deref(), Ok(path), "not in normal form");
    for (name, value) in &told.lines {
        assert!(name != b"host", "there are two hosts: {told:?}");
        assert!(value.trim_ascii().len() == value.len(), "{value:?} of {}", String::from_utf8_lossy(name));
    }
    assert!(told.lines.len() <= asked.lines.len(), "a line more");
    assert_eq!(call(&told), Some(Ok((told.clone(), deadline))), "the next proxy reads another request");
});
