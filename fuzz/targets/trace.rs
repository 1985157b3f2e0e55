//! Trace headers: whatever a caller says, the next hop reads the same trace, this proxy's span as its parent, and the same decision.
#![no_main]

use tulle_core::trace;
use tulle_fuzz::Request;

const NAMES: [&str; 7] =
    ["traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"];
const IDS: [u64; 3] = [7, 8, 9];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // A line each: which header by its first byte, then the value.
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| {
        let (which, value) = line.split_first()?;
        Some((NAMES[usize::from(*which) % NAMES.len()], value.to_vec()))
    });
    let said = trace::read(&Request { lines: lines.collect(), ..Request::default() });
    for draw in [false, true] {
        let sampled = said.is_sampled(|| draw);
        let told = said.continued(sampled, IDS);
        assert_eq!(told.is_sampled(), sampled);
        assert_eq!(told.parent, said.parent.map(|(_, span)| span));
        assert!(said.parent.is_none_or(|(trace, _)| trace == told.trace), "the trace is another one");
        let mut next = Request::default();
        told.lines(|name, value| {
            assert!(told.replaces(name), "{name} would stand there twice");
            assert!(value.iter().all(|byte| byte.is_ascii_graphic()), "{value:?}");
            next.lines.push((name, value.to_vec()));
        });
        let heard = trace::read(&next);
        assert_eq!(heard.format, said.format);
        assert_eq!(heard.parent, Some((told.trace, told.span)), "{:?}", next.lines);
        assert_eq!(heard.is_sampled(|| !sampled), sampled, "{:?}", next.lines);
        assert_eq!(
            heard.sampled == Some(trace::Sampled::Debug),
            told.is_sampled() && said.sampled == Some(trace::Sampled::Debug)
        );
    }
});
