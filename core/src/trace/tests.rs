//! One row per rule of the specifications, in their words.

use super::*;

struct Request<'a>(&'a [(&'a str, &'a str)]);

impl RequestView for Request<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn authority(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
/// Draws for a span and a trace.
const IDS: [u64; 3] = [0x11, 0x22, 0x33];

/// What the next hop gets of the lines this proxy has a say in.
fn passed(lines: &[(&str, &str)], draw: bool) -> Vec<String> {
    let incoming = read(&Request(lines));
    let sampled = incoming.is_sampled(|| draw);
    let outgoing = (!incoming.may_pass(sampled)).then(|| incoming.continued(sampled, IDS));
    let kept = lines.iter().filter(|(name, _)| !outgoing.is_some_and(|outgoing| outgoing.replaces(name)));
    let mut all: Vec<String> = kept.map(|(name, value)| format!("{name}: {value}")).collect();
    if let Some(outgoing) = outgoing {
        outgoing.lines(|name, value| all.push(format!("{name}: {}", String::from_utf8_lossy(value))));
    }
    all
}

#[test]
fn a_traceparent_that_can_be_read_is_continued() {
    for (version, further, flags, out) in [
        ("00", "", "01", "01"),
        ("00", "", "03", "03"),
        ("00", "", "ff", "03"),
        ("cc", "", "01", "01"),
        ("cc", "-what-the-future-holds", "01", "01"),
    ] {
        let parent = format!("{version}-{TRACE}-{SPAN}-{flags}{further}");
        let told = passed(&[("traceparent", &parent), ("tracestate", "a=1,b=2")], false);
        assert_eq!(
            told,
            ["tracestate: a=1,b=2", &format!("traceparent: 00-{TRACE}-0000000000000011-{out}")],
            "{parent}"
        );
        let incoming = read(&Request(&[("traceparent", &parent)]));
        assert_eq!(incoming.continued(true, IDS).parent.map(|parent| parent.to_string()).as_deref(), Some(SPAN));
    }
}

/// Cases of the W3C's own test suite for implementations, `test_traceparent_*`.
#[test]
fn a_traceparent_that_cannot_be_read_begins_a_new_trace() {
    let zeros = "0".repeat(32);
    let rows = [
        String::new(),
        ".".repeat(55),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("000-{TRACE}-{SPAN}-01"),
        format!("0G-{TRACE}-{SPAN}-01"),
        format!("CC-{TRACE}-{SPAN}-01"),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{TRACE}-0000000000000000-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-0X"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-01-extra"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01."),
        format!("cc-{TRACE}-{SPAN}-01.what"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}0-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}0-01"),
        format!("00_{TRACE}_{SPAN}_01"),
        format!(" 00-{TRACE}-{SPAN}-01"),
    ];
    let fresh = "traceparent: 00-00000000000000220000000000000033-0000000000000011-00";
    for parent in rows {
        assert_eq!(passed(&[("traceparent", &parent), ("tracestate", "a=1")], false), [fresh], "{parent}");
    }
    let parent = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(passed(&[("traceparent", &parent), ("traceparent", &parent)], false), [fresh], "twice");
}

#[test]
fn who_says_nothing_is_drawn() {
    let told = |draw| passed(&[], draw);
    assert_eq!(told(true), ["traceparent: 00-00000000000000220000000000000033-0000000000000011-01"]);
    assert_eq!(told(false), ["traceparent: 00-00000000000000220000000000000033-0000000000000011-00"]);
}

#[test]
fn who_does_not_record_is_passed_on_untouched() {
    let (parent, b3) = (format!("00-{TRACE}-{SPAN}-00"), format!("{TRACE}-{SPAN}-0"));
    let rows: [&[(&str, &str)]; 5] = [
        &[("traceparent", &parent), ("tracestate", "a=1")],
        &[("b3", &b3)],
        &[("b3", "0")],
        &[("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")],
        &[("x-b3-sampled", "0")],
    ];
    for lines in rows {
        let same: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(passed(lines, true), same);
    }
}

#[test]
fn one_b3_header_is_continued_in_one() {
    let short = &TRACE[16..];
    let rows = [
        (format!("{TRACE}-{SPAN}-1"), format!("{TRACE}-0000000000000011-1-{SPAN}")),
        (format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90"), format!("{TRACE}-0000000000000011-1-{SPAN}")),
        (format!("{TRACE}-{SPAN}-d"), format!("{TRACE}-0000000000000011-d-{SPAN}")),
        (format!("{TRACE}-{SPAN}"), format!("{TRACE}-0000000000000011-1-{SPAN}")),
        (format!("{short}-{SPAN}-1"), format!("{short}-0000000000000011-1-{SPAN}")),
        ("1".to_owned(), "00000000000000220000000000000033-0000000000000011-1".to_owned()),
        ("d".to_owned(), "00000000000000220000000000000033-0000000000000011-d".to_owned()),
    ];
    for (value, told) in rows {
        assert_eq!(passed(&[("b3", &value)], true), [format!("b3: {told}")], "{value}");
    }
    for bad in
        ["", "2", "x-y-1", "-", &format!("{TRACE}-{SPAN}-2"), &format!("{TRACE}-{SPAN}-1-x"), &TRACE.to_uppercase()]
    {
        let told = passed(&[("b3", bad)], false);
        assert_eq!(told, ["b3: 00000000000000220000000000000033-0000000000000011-0"], "{bad}");
    }
}

#[test]
fn several_b3_headers_are_continued_in_several() {
    let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-parentspanid", "05e3ac9a4f6e3b90")];
    let told = |last: &str| {
        [
            &format!("x-b3-traceid: {TRACE}"),
            "x-b3-spanid: 0000000000000011",
            &format!("x-b3-parentspanid: {SPAN}"),
            last,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let with = |more: &[(&'static str, &'static str)]| passed(&[&ids, more].concat(), true);
    assert_eq!(with(&[]), told("x-b3-sampled: 1"), "left to us");
    assert_eq!(with(&[("x-b3-sampled", "1")]), told("x-b3-sampled: 1"));
    assert_eq!(with(&[("x-b3-sampled", "true")]), told("x-b3-sampled: 1"));
    assert_eq!(with(&[("x-b3-flags", "1"), ("x-b3-sampled", "0")]), told("x-b3-flags: 1"));
    assert_eq!(passed(&[("x-b3-sampled", "1")], false)[0], "x-b3-traceid: 00000000000000220000000000000033");
}

#[test]
fn w3c_goes_before_b3() {
    let (parent, b3) = (format!("00-{TRACE}-{SPAN}-01"), format!("{TRACE}-{SPAN}-0"));
    let incoming = read(&Request(&[("b3", &b3), ("x-b3-sampled", "0"), ("traceparent", &parent)]));
    assert_eq!((incoming.format, incoming.sampled), (Format::W3c, Some(Sampled::Yes)));
}

#[test]
fn no_id_is_zero() {
    let outgoing = Incoming::NONE.continued(true, [0; 3]);
    assert_ne!(outgoing.trace.as_bytes(), &[0; 16]);
    assert_ne!(outgoing.span.as_bytes(), &[0; 8]);
}
