use super::*;
use crate::route::FullRegex;
use crate::route::filter::testing::Asked;

const PAGE: (&str, &str) = ("origin", "https://shop.example");
const METHOD: (&str, &str) = ("access-control-request-method", "PUT");

fn policy() -> CorsPolicy {
    let value = HeaderValue::from_static;
    CorsPolicy {
        origins: vec![StringMatch::Exact("https://shop.example".into())],
        methods: Some(value("GET,PUT")),
        headers: Some(value("x-a,x-b")),
        expose: Some(value("x-c")),
        max_age: Some(value("86400")),
        credentials: true,
        forward_unmatched: true,
    }
}

fn asked(method: &'static str, headers: &[(&'static str, &'static str)]) -> Asked {
    Asked { method, path: "/", headers: headers.to_vec(), ..Asked::default() }
}

fn lines(headers: &[(HeaderName, HeaderValue)]) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

fn answer(policy: &CorsPolicy, request: &Asked) -> Vec<String> {
    match policy.judge(request) {
        Cors::Answer(headers) => lines(&headers),
        Cors::Go(edits) => panic!("went on with {edits:?}"),
    }
}

fn said(policy: &CorsPolicy, request: &Asked) -> Vec<String> {
    match policy.judge(request) {
        Cors::Go(edits) => lines(edits.appended()),
        Cors::Answer(headers) => panic!("was answered with {headers:?}"),
    }
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered() {
    let expected = [
        "access-control-allow-origin: https://shop.example",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: GET,PUT",
        "access-control-allow-headers: x-a,x-b",
        "access-control-max-age: 86400",
        "vary: origin",
    ];
    assert_eq!(answer(&policy(), &asked("OPTIONS", &[PAGE, METHOD])), expected);
    let bare = CorsPolicy { origins: policy().origins, ..CorsPolicy::default() };
    assert_eq!(answer(&bare, &asked("OPTIONS", &[PAGE, METHOD])), [expected[0], expected[5]]);
}

#[test]
fn what_is_no_preflight_goes_on() {
    for request in [
        asked("OPTIONS", &[PAGE]),
        asked("OPTIONS", &[METHOD]),
        asked("OPTIONS", &[PAGE, ("access-control-request-method", "")]),
        asked("GET", &[PAGE, METHOD]),
    ] {
        assert!(matches!(policy().judge(&request), Cors::Go(_)), "{request:?}");
    }
}

#[test]
fn a_preflight_of_another_origin_goes_on_or_is_answered_without_permission() {
    let request = asked("OPTIONS", &[("origin", "https://evil.example"), METHOD]);
    assert_eq!(said(&policy(), &request), ["vary: origin"], "FORWARD");
    let ignore = CorsPolicy { forward_unmatched: false, ..policy() };
    assert_eq!(answer(&ignore, &request), ["vary: origin"], "IGNORE");
}

#[test]
fn an_answer_says_whether_the_page_may_read_it() {
    let allowed = [
        "access-control-allow-origin: https://shop.example",
        "access-control-allow-credentials: true",
        "access-control-expose-headers: x-c",
        "vary: origin",
    ];
    assert_eq!(said(&policy(), &asked("GET", &[PAGE])), allowed);
    assert_eq!(said(&policy(), &asked("GET", &[])), ["vary: origin"]);
    assert_eq!(said(&policy(), &asked("GET", &[("origin", "https://evil.example")])), ["vary: origin"]);
    let Cors::Go(edits) = policy().judge(&asked("GET", &[PAGE])) else { panic!("a call goes on") };
    assert!(edits.drops("access-control-allow-origin"), "what the application says of it is replaced");
    assert!(!edits.drops("vary"), "what else the answer varies by stays");
}

/// Origins of a policy, headers of a request, and whether it may be made.
type Row<'a> = (&'a [StringMatch], &'a [(&'static str, &'static str)], bool);

#[test]
fn origins() {
    let exact = |text: &str| StringMatch::Exact(text.into());
    let prefix = |text: &str| StringMatch::Prefix(text.into());
    let regex = |text: &str| StringMatch::Regex(FullRegex::new(text).unwrap());
    let rows: [Row<'_>; 10] = [
        (&[exact("https://shop.example")], &[PAGE], true),
        (&[exact("https://shop.example")], &[("origin", "https://shop.example.evil")], false),
        (&[prefix("https://shop.")], &[PAGE], true),
        (&[regex(r"https://[a-z]+\.example")], &[PAGE], true),
        (&[regex(r"https://[a-z]+\.example")], &[("origin", "https://a.example.evil")], false),
        (&[exact("https://other"), exact("https://shop.example")], &[PAGE], true),
        (&[exact("*")], &[PAGE], true),
        (&[exact("*")], &[], false),
        (&[], &[PAGE], false),
        (&[exact("https://shop.example")], &[PAGE, PAGE], false), // nobody knows which is meant
    ];
    for (origins, headers, allowed) in rows {
        let policy = CorsPolicy { origins: origins.to_vec(), ..CorsPolicy::default() };
        let got = policy.allowed_origin(&asked("GET", headers)).is_some();
        assert_eq!(got, allowed, "{origins:?} {headers:?}");
    }
}
