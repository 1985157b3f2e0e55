use std::collections::BTreeMap;

use super::*;
use crate::split::{Split, Weight};

#[derive(Default)]
struct Request {
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    authority: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        self.query
    }
    fn authority(&self) -> Option<&str> {
        self.authority
    }
    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
}

fn get(path: &'static str) -> Request {
    Request { method: "GET", path, ..Request::default() }
}

fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.into())
}

fn prefix(text: &str) -> StringMatch {
    StringMatch::Prefix(text.into())
}

fn regex(text: &str) -> StringMatch {
    StringMatch::Regex(FullRegex::new(text).unwrap())
}

fn uri(matcher: StringMatch) -> Match {
    Match { uri: Some(matcher), ..Match::default() }
}

fn rule(name: &str, matches: Vec<Match>) -> Rule<u32> {
    Rule { name: name.into(), matches, within: Vec::new(), action: Action::to(0), filters: Filters::default() }
}

fn selected(table: &RouteTable<u32>, request: &Request) -> Option<String> {
    table.select(request).map(|rule| rule.name.to_string())
}

#[test]
fn the_first_rule_that_fits_is_taken_whatever_is_more_specific() {
    let table = RouteTable {
        rules: vec![
            rule("prefix", vec![uri(prefix("/a"))]),
            rule("exact", vec![uri(exact("/a/b"))]),
            rule("either", vec![uri(exact("/x")), uri(exact("/y"))]),
            rule("rest", vec![uri(prefix("/z"))]),
        ],
    };
    let rows =
        [("/a/b", Some("prefix")), ("/x", Some("either")), ("/y", Some("either")), ("/z1", Some("rest")), ("/q", None)];
    for (path, want) in rows {
        assert_eq!(selected(&table, &get(path)).as_deref(), want, "{path}");
    }
    assert!(RouteTable::<u32>::default().is_empty());
    let all = RouteTable { rules: vec![rule("all", vec![])] };
    assert_eq!(selected(&all, &get("/q")).as_deref(), Some("all"));
}

#[test]
fn several_objects_the_oldest_first_then_by_name() {
    let rank = |created, namespace: &str, name: &str| Rank { created, namespace: namespace.into(), name: name.into() };
    let table = merge([
        (rank(2, "a", "a"), vec![rule("younger", vec![])]),
        (rank(1, "shop", "web"), vec![rule("web[0]", vec![uri(exact("/1"))]), rule("web[1]", vec![])]),
        (rank(1, "shop", "api"), vec![rule("api[0]", vec![uri(exact("/2"))])]),
        (rank(1, "bank", "zoo"), vec![rule("zoo[0]", vec![uri(exact("/3"))])]),
    ]);
    let names: Vec<_> = table.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["zoo[0]", "api[0]", "web[0]", "web[1]", "younger"]);
}

#[test]
fn conditions() {
    let headers = |list: &[(&'static str, &'static str)]| Request { headers: list.to_vec(), ..get("/") };
    let query = |query| Request { query: Some(query), ..get("/") };
    let header = |name: &str, wanted: HeaderMatch| Match { headers: vec![(name.into(), wanted)], ..Match::default() };
    let without =
        |name: &str, wanted: HeaderMatch| Match { without_headers: vec![(name.into(), wanted)], ..Match::default() };
    let parameter = |name: &str, wanted: HeaderMatch| Match { query: vec![(name.into(), wanted)], ..Match::default() };
    let is = |text: &str| HeaderMatch::Value(exact(text));
    let rows: Vec<(&str, Match, Request, bool)> = vec![
        ("no condition", Match::default(), get("/"), true),
        ("exact", uri(exact("/a")), get("/a"), true),
        ("exact is whole", uri(exact("/a")), get("/ab"), false),
        ("prefix is of the string, not of segments", uri(prefix("/a")), get("/ab"), true),
        ("regex is whole", uri(regex("/a|/b")), get("/b"), true),
        ("regex is whole, not a part", uri(regex("/a")), get("/ab"), false),
        ("regex is whole, no line end", uri(regex("/a")), get("/a\n"), false),
        ("case counts", uri(exact("/A")), get("/a"), false),
        ("case ignored, exact", Match { ignore_uri_case: true, ..uri(exact("/A")) }, get("/a"), true),
        ("case ignored, prefix", Match { ignore_uri_case: true, ..uri(prefix("/A")) }, get("/aB"), true),
        ("case ignored, shorter path", Match { ignore_uri_case: true, ..uri(prefix("/AAA")) }, get("/a"), false),
        ("method", Match { method: Some(exact("GET")), ..Match::default() }, get("/"), true),
        ("other method", Match { method: Some(exact("POST")), ..Match::default() }, get("/"), false),
        ("scheme", Match { scheme: Some(exact("http")), ..Match::default() }, get("/"), true),
        ("other scheme", Match { scheme: Some(exact("https")), ..Match::default() }, get("/"), false),
        (
            "authority",
            Match { authority: Some(prefix("web")), ..Match::default() },
            Request { authority: Some("web:80"), ..get("/") },
            true,
        ),
        ("no authority", Match { authority: Some(prefix("")), ..Match::default() }, get("/"), false),
        ("header", header("x", is("1")), headers(&[("x", "1")]), true),
        ("any of repeated headers", header("x", is("2")), headers(&[("x", "1"), ("x", "2")]), true),
        ("repeated headers are not joined", header("x", is("1,2")), headers(&[("x", "1"), ("x", "2")]), false),
        ("absent header", header("x", is("")), headers(&[]), false),
        ("header present", header("x", HeaderMatch::Present), headers(&[("x", "")]), true),
        ("header not present", header("x", HeaderMatch::Present), headers(&[("y", "")]), false),
        ("without, absent", without("x", is("1")), headers(&[]), true),
        ("without, other value", without("x", is("1")), headers(&[("x", "2")]), true),
        ("without, one of several", without("x", is("1")), headers(&[("x", "2"), ("x", "1")]), false),
        ("without any", without("x", HeaderMatch::Present), headers(&[("x", "1")]), false),
        ("query", parameter("a", is("1")), query("b=2&a=1"), true),
        ("query, repeated", parameter("a", is("2")), query("a=1&a=2"), true),
        ("query, key only", parameter("a", is("")), query("a"), true),
        ("query, empty value", parameter("a", is("")), query("a="), true),
        ("query, as sent", parameter("a", is("1 2")), query("a=1%202"), false),
        ("query, value with =", parameter("a", is("b=c")), query("a=b=c"), true),
        ("query, absent", parameter("a", HeaderMatch::Present), query("b=1"), false),
        ("query, empty", parameter("", HeaderMatch::Present), query(""), false),
        ("no query", parameter("a", HeaderMatch::Present), get("/"), false),
        ("all must hold", Match { method: Some(exact("POST")), ..uri(exact("/a")) }, get("/a"), false),
        ("a port nobody settled", Match { port: Some(80), ..Match::default() }, get("/"), false),
    ];
    for (what, condition, request, want) in rows {
        assert_eq!(condition.fits(&request), want, "{what}");
    }
}

#[test]
fn bytes_that_are_no_text_fit_no_regex() {
    assert!(!regex(".*").fits(&[0xff]));
    assert!(prefix("a").fits(&[b'a', 0xff]));
}

#[test]
fn patterns_cannot_break_out_of_their_anchors_or_grow() {
    assert!(matches!(FullRegex::new("a)|(b"), Err(PatternError::Syntax(_))));
    assert!(matches!(FullRegex::new("("), Err(PatternError::Syntax(text)) if text.contains("unclosed group")));
    assert_eq!(FullRegex::new("(?:a{1000}){1000}"), Err(PatternError::TooLarge));
    assert_eq!(FullRegex::new("\\w{200}"), Err(PatternError::TooLarge));
    assert!(FullRegex::new("/api/v[0-9]+/(users|orders)/[^/]{1,64}").is_ok());
}

#[test]
fn a_table_for_one_port() {
    let on = |port| Match { port, ..uri(prefix("/a")) };
    let (namespace, labels) = ("shop".into(), BTreeMap::new());
    let caller = |port| Caller { namespace: &namespace, labels: &labels, port };
    let table = RouteTable {
        rules: vec![
            rule("80", vec![on(Some(80))]),
            rule("both", vec![on(Some(80)), on(Some(90))]),
            rule("any", vec![on(None)]),
            rule("all", vec![]),
        ],
    };
    let names = |port| table.seen_by(&caller(port)).rules.iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(80), ["80", "both", "any", "all"]);
    assert_eq!(names(90), ["both", "any", "all"]);
    assert_eq!(names(70), ["any", "all"]);
    assert_eq!(selected(&table.seen_by(&caller(80)), &get("/a")).as_deref(), Some("80"));
    assert_eq!(selected(&table.seen_by(&caller(90)), &get("/b")).as_deref(), Some("all"));
}

#[test]
fn a_table_for_one_caller() {
    let from = |namespace: Option<&str>, labels: &[(&str, &str)]| Match {
        source: Some(Arc::new(SourceMatch { namespace: namespace.map(Into::into), labels: pairs(labels) })),
        ..uri(prefix("/a"))
    };
    let table = RouteTable {
        rules: vec![
            rule("bank", vec![from(Some("bank"), &[])]),
            rule("canary", vec![from(None, &[("track", "canary")])]),
            rule("both", vec![from(Some("shop"), &[("app", "web"), ("track", "canary")])]),
            rule("rest", vec![]),
        ],
    };
    let names = |namespace: &str, labels: &[(&str, &str)]| {
        let (namespace, labels) = (namespace.into(), pairs(labels));
        let seen = table.seen_by(&Caller { namespace: &namespace, labels: &labels, port: 80 });
        assert!(seen.rules.iter().all(|rule| !rule.asks_labels()));
        seen.rules.iter().map(|rule| rule.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("shop", &[]), ["rest"]);
    assert_eq!(names("bank", &[("app", "web")]), ["bank", "rest"]);
    assert_eq!(names("shop", &[("track", "canary")]), ["canary", "rest"]);
    assert_eq!(names("shop", &[("track", "canary"), ("app", "web"), ("x", "y")]), ["canary", "both", "rest"]);
    assert_eq!(table.rules.iter().map(Rule::asks_labels).collect::<Vec<_>>(), [false, true, true, false]);
    assert!(!from(None, &[]).fits(&get("/a")), "a source nobody settled");
}

#[test]
fn whose_proxies_follow_an_object() {
    let to = |names: &[&str]| Export::To(names.iter().map(|name| (*name).into()).collect());
    let reaches = |export: &Export| ["shop", "bank"].map(|namespace| export.reaches(&namespace.into()));
    assert_eq!(reaches(&Export::default()), [true, true]);
    assert_eq!(reaches(&to(&["shop"])), [true, false]);
    assert_eq!(reaches(&to(&[])), [false, false]);
}

fn pairs(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn mapping_keeps_everything_but_the_destinations() {
    let action = Action::forward(Split::new([(1, Weight(3)), (2, Weight(1))]).unwrap());
    let mirrors = vec![Mirror { destination: 9, share: filter::percent::Percent::ALL }];
    let filters = Filters { mirrors, ..Filters::default() };
    let rule = Rule { action, filters, ..rule("r", vec![uri(exact("/"))]) };
    assert_eq!(rule.destinations().collect::<Vec<_>>(), [&1, &2, &9]);
    let mapped = rule.clone().map(|number| number.to_string());
    assert_eq!((mapped.name, mapped.matches), (rule.name, rule.matches));
    assert_eq!(mapped.filters.mirrors[0].destination, "9");
    let Action::Forward(split) = mapped.action else { panic!("it forwards") };
    assert_eq!(
        split.entries().map(|(branch, weight)| (branch.destination.as_str(), weight.0)).collect::<Vec<_>>(),
        [("1", 3), ("2", 1)]
    );
}

#[test]
fn what_a_condition_fixed_of_the_path() {
    use filter::rewrite::Matched;
    let rows = [
        (vec![], Matched::Prefix(1)),
        (vec![Match { method: Some(exact("GET")), ..Match::default() }], Matched::Prefix(1)),
        (vec![uri(prefix("/a"))], Matched::Prefix(2)),
        (vec![uri(prefix("/x")), uri(prefix("/a/"))], Matched::Prefix(3)),
        (vec![uri(exact("/a/b"))], Matched::Whole),
        (vec![uri(regex("/a.*"))], Matched::Whole),
    ];
    for (matches, want) in rows {
        assert_eq!(rule("r", matches.clone()).matched(&get("/a/b")), want, "{matches:?}");
    }
}
