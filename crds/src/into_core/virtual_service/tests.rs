use std::time::Duration;

use serde_json::{Value, json};
use tulle_core::retry::{RetryOn, RetryPolicy};
use tulle_core::route::filter::Edits;
use tulle_core::route::filter::fault::{Abort, Fault};
use tulle_core::route::filter::headers::HeaderEdits;
use tulle_core::route::filter::percent::Percent;
use tulle_core::route::filter::redirect::{RedirectPath, RedirectPort};
use tulle_core::route::filter::rewrite::Rewrite;
use tulle_core::route::{Action, Balance, Mirror, Subset, TrafficPolicy};

use super::*;
use crate::into_core::tests::{http, refused, virtual_service};

fn to_web() -> Value {
    json!([{"destination": {"host": "web"}}])
}

/// A rule that forwards to one destination, with one field more.
fn with(field: &str, value: Value) -> Value {
    let mut spec = http(json!({"route": to_web()}));
    spec["http"][0][field] = value;
    spec
}

fn parse(spec: &Value) -> Rule<Destination> {
    virtual_service(spec).unwrap_or_else(|error| panic!("{spec}: {error}")).rules.remove(0)
}

fn lines(edits: Option<&HeaderEdits>) -> (Vec<String>, Vec<String>) {
    let Some(edits) = edits else { return Default::default() };
    let appended = edits.appended().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    (edits.dropped().iter().map(ToString::to_string).collect(), appended.collect())
}

fn shown(dropped: &[&str], appended: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    (owned(dropped), owned(appended))
}

#[test]
fn header_edits_of_a_destination_come_before_those_of_the_rule() {
    let rule = parse(&http(json!({
        "route": [
            {
                "destination": {"host": "web"}, "weight": 1,
                "headers": {"request": {"set": {"X-Way": "a", "host": "a.example"}, "remove": ["x-gone"]}},
            },
            {"destination": {"host": "web-v2"}, "weight": 1},
        ],
        "headers": {
            "request": {"set": {"x-way": "rule"}, "add": {"x-more": "100 %%"}},
            "response": {"remove": ["server"], "set": {"strict-transport-security": "max-age=1"}},
        },
        "rewrite": {"authority": "b.example:8080"},
    })));
    let Action::Forward(branches) = &rule.action else { panic!("it forwards") };
    let [first, second] = [0, u64::MAX].map(|draw| branches.pick(draw).edits.clone().then(&rule.filters.edits));
    let request = shown(&["x-gone", "x-way"], &["x-way: rule", "x-more: 100 %"]);
    assert_eq!(lines(first.request.as_deref()), request);
    assert_eq!(lines(second.request.as_deref()), shown(&["x-way"], &["x-way: rule", "x-more: 100 %"]));
    let response = shown(&["server", "strict-transport-security"], &["strict-transport-security: max-age=1"]);
    assert_eq!([&first, &second].map(|edits| lines(edits.response.as_deref())), [response.clone(), response]);
    assert_eq!(first.authority.as_ref().unwrap(), "a.example");
    assert_eq!(second.authority.as_ref().unwrap(), "b.example:8080");
    let plain = parse(&with("headers", json!({})));
    let Action::Forward(branches) = &plain.action else { panic!("it forwards") };
    assert_eq!(branches.pick(0).edits, Edits::default());
}

#[test]
fn header_edits_with_a_mistake() {
    let request = |operations: Value| with("headers", json!({"request": operations}));
    let response = |operations: Value| with("headers", json!({"response": operations}));
    let of_branch = |headers: Value| http(json!({"route": [{"destination": {"host": "web"}, "headers": headers}]}));
    refused(
        virtual_service,
        &[
            (
                request(json!({"set": {"Content-Length": "1"}})),
                "TUL3001: spec.http[0].headers.request.set[Content-Length]: decides how the message is framed and sent, \
                 so no rule can change it; remove it",
            ),
            (
                request(json!({"remove": ["x", "connection"]})),
                "TUL3001: spec.http[0].headers.request.remove[1]: belongs to one hop and never reaches the next, \
                 so no rule can change it; remove it",
            ),
            (
                response(json!({"add": {"tulle-error": "x"}})),
                "TUL3001: spec.http[0].headers.response.add[tulle-error]: is the mesh's own, so no rule can change it; remove it",
            ),
            (
                request(json!({"set": {":path": "/"}})),
                "TUL3001: spec.http[0].headers.request.set[:path]: is a part of the message and no header; \
                 use rewrite for path and authority",
            ),
            (
                request(json!({"remove": ["Host"]})),
                "TUL3001: spec.http[0].headers.request.remove[0]: is a part of the message and no header; \
                 use rewrite for path and authority",
            ),
            (
                response(json!({"set": {"host": "x"}})),
                "TUL3001: spec.http[0].headers.response.set[host]: is a part of the message and no header; \
                 use rewrite for path and authority",
            ),
            (
                of_branch(json!({"request": {"set": {"a b": "x"}}})),
                "TUL3001: spec.http[0].route[0].headers.request.set[a b]: is no header name; correct the name",
            ),
            (
                of_branch(json!({"response": {"set": {"x": "a\r\nb: c"}}})),
                "TUL3001: spec.http[0].route[0].headers.response.set[x]: has a line end or another control character; remove it",
            ),
            (
                request(json!({"set": {"x": " a"}})),
                "TUL3001: spec.http[0].headers.request.set[x]: begins or ends with a space, which no receiver would see; \
                 remove the space",
            ),
            (
                request(json!({"set": {"x": "%REQ(y)%"}})),
                "TUL3001: spec.http[0].headers.request.set[x]: has a substitution (%…%), which is not supported by this release; \
                 write the value itself, and %% for a percent sign",
            ),
            (
                request(json!({"set": {"host": "user@web"}})),
                "TUL3001: spec.http[0].headers.request.set[host]: \"user@web\" is not a host with or without a port; correct the value",
            ),
            (
                with("headers", json!({"trailer": {}})),
                "TUL3002: spec.http[0].headers.trailer: is not supported by this release; remove the field",
            ),
        ],
    );
}

#[test]
fn a_redirect_is_read() {
    let rule = parse(&http(json!({
        "match": [{"uri": {"prefix": "/old"}}],
        "redirect": {
            "prefixRewrite": "/new", "authority": "shop.example", "scheme": "https", "derivePort": "FROM_REQUEST_PORT",
            "redirectCode": 308,
        },
        "headers": {"response": {"set": {"x": "1"}}},
    })));
    let Action::Redirect(redirect) = &rule.action else { panic!("{:?}", rule.action) };
    assert_eq!((redirect.status, redirect.port), (308, RedirectPort::Dialled));
    assert_eq!(redirect.path, RedirectPath::Prefix("/new".into()));
    assert_eq!((redirect.scheme.as_deref(), redirect.authority.as_deref()), (Some("https"), Some("shop.example")));
    assert_eq!(lines(rule.filters.edits.response.as_deref()), shown(&["x"], &["x: 1"]));
    let rows = [
        (json!({"uri": "/x?y=1"}), 301, RedirectPort::OfAuthority, RedirectPath::Whole("/x?y=1".into())),
        (json!({"port": 8080}), 301, RedirectPort::Number(8080), RedirectPath::Same),
        (json!({"derivePort": "FROM_PROTOCOL_DEFAULT"}), 301, RedirectPort::OfScheme, RedirectPath::Same),
    ];
    for (redirect, status, port, path) in rows {
        let rule = parse(&http(json!({"redirect": redirect})));
        let Action::Redirect(redirect) = rule.action else { panic!("{:?}", rule.action) };
        assert_eq!((redirect.status, redirect.port, redirect.path), (status, port, path));
    }
}

#[test]
fn redirects_with_a_mistake() {
    let redirect = |redirect: Value| http(json!({"redirect": redirect}));
    refused(
        virtual_service,
        &[
            (
                redirect(json!({})),
                "TUL3003: spec.http[0].redirect: changes nothing, so callers would be sent in a circle; \
                 give a path, an authority, a port or a scheme",
            ),
            (
                redirect(json!({"uri": "/x", "redirectCode": 300})),
                "TUL3001: spec.http[0].redirect.redirectCode: 300 is not a redirect; use 301, 302, 303, 307 or 308",
            ),
            (
                redirect(json!({"uri": "/x", "prefixRewrite": "/y"})),
                "TUL3001: spec.http[0].redirect: has both uri and prefixRewrite; give one of them",
            ),
            (
                redirect(json!({"prefixRewrite": "/y"})),
                "TUL3001: spec.http[0].redirect.prefixRewrite: needs a prefix in each match of the rule, and one has none; \
                 give match.uri.prefix, or use uri",
            ),
            (
                redirect(json!({"port": 1, "derivePort": "FROM_REQUEST_PORT"})),
                "TUL3001: spec.http[0].redirect: has both port and derivePort; give one of them",
            ),
            (
                redirect(json!({"derivePort": "x"})),
                "TUL3001: spec.http[0].redirect.derivePort: \"x\" is no source of a port; \
                 use FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT",
            ),
            (
                redirect(json!({"scheme": "ftp"})),
                "TUL3001: spec.http[0].redirect.scheme: \"ftp\" is no scheme of HTTP; use http or https",
            ),
            (
                redirect(json!({"uri": "x"})),
                "TUL3001: spec.http[0].redirect.uri: \"x\" cannot be used: the path does not start with '/'; correct the value",
            ),
            (
                redirect(json!({"uri": "/a//b"})),
                "TUL3001: spec.http[0].redirect.uri: \"/a//b\" is not in normal form, which is \"/a/b\"; correct the value",
            ),
            (
                redirect(json!({"uri": "/a?b\r\nc"})),
                "TUL3001: spec.http[0].redirect.uri: \"b\\r\\nc\" is no query; correct the value",
            ),
            (
                redirect(json!({"authority": "a/b"})),
                "TUL3001: spec.http[0].redirect.authority: \"a/b\" is not a host with or without a port; correct the value",
            ),
            (
                http(json!({"redirect": {"uri": "/x"}, "rewrite": {"uri": "/y"}})),
                "TUL3001: spec.http[0].rewrite: nothing is forwarded that could be rewritten; remove it, or give a route",
            ),
            (
                http(json!({"redirect": {"uri": "/x"}, "route": to_web()})),
                "TUL3001: spec.http[0]: has more than one of route, redirect, directResponse and delegate; give exactly one",
            ),
        ],
    );
}

#[test]
fn a_direct_response_is_read() {
    let rows = [
        (json!({"status": 503}), 503, &b""[..]),
        (json!({"status": 200, "body": {"string": "ok"}}), 200, b"ok"),
        (json!({"status": 418, "body": {"bytes": "/wB+"}}), 418, b"\xff\x00~"),
    ];
    for (direct, status, body) in rows {
        let rule = parse(&http(json!({"directResponse": direct})));
        let Action::Answer(answer) = rule.action else { panic!("{:?}", rule.action) };
        assert_eq!((answer.status, &answer.body[..]), (status, body));
    }
}

#[test]
fn direct_responses_with_a_mistake() {
    let direct = |direct: Value| http(json!({"directResponse": direct}));
    refused(
        virtual_service,
        &[
            (
                direct(json!({"status": 101})),
                "TUL3001: spec.http[0].directResponse.status: 101 is no final status; use 200 to 599",
            ),
            (
                direct(json!({"status": 200, "body": {}})),
                "TUL3003: spec.http[0].directResponse.body: has neither string nor bytes; add the field",
            ),
            (
                direct(json!({"status": 200, "body": {"string": "a", "bytes": "YQ=="}})),
                "TUL3001: spec.http[0].directResponse.body: has both string and bytes; give one of them",
            ),
            (
                direct(json!({"status": 200, "body": {"bytes": "?"}})),
                "TUL3001: spec.http[0].directResponse.body.bytes: is not base64; correct the value",
            ),
            (
                direct(json!({"status": 200, "body": {"string": "x".repeat(131_073)}})),
                "TUL3001: spec.http[0].directResponse.body.string: is longer than 131072 bytes; serve it from a Service",
            ),
            (
                direct(json!({"status": 204, "body": {"string": "a"}})),
                "TUL3001: spec.http[0].directResponse.body: an answer of status 204 has no body; remove the body",
            ),
        ],
    );
}

#[test]
fn a_rewrite_is_read() {
    let rule = parse(&with("rewrite", json!({"uri": "/v2/", "authority": "web.example"})));
    assert_eq!(rule.filters.rewrite, Some(Rewrite::Path("/v2/".into())));
    let rule = parse(&with("rewrite", json!({"uriRegexRewrite": {"match": "^/a/(.*)", "rewrite": "/b/\\1"}})));
    let rewritten = rule.filters.rewrite.unwrap().apply("/a/x", tulle_core::route::filter::rewrite::Matched::Whole);
    assert_eq!(rewritten.as_deref(), Ok("/b/x"));
}

#[test]
fn rewrites_with_a_mistake() {
    let rewrite = |rewrite: Value| with("rewrite", rewrite);
    let regex = |pattern: &str, rewrite: &str| {
        with("rewrite", json!({"uriRegexRewrite": {"match": pattern, "rewrite": rewrite}}))
    };
    refused(
        virtual_service,
        &[
            (
                rewrite(json!({})),
                "TUL3003: spec.http[0].rewrite: rewrites nothing; give uri, uriRegexRewrite or authority",
            ),
            (
                rewrite(json!({"uri": "/a?b=c"})),
                "TUL3001: spec.http[0].rewrite.uri: \"/a?b=c\" cannot be used: the path has a control character, '#' or '?'; \
                 correct the value",
            ),
            (
                rewrite(json!({"uri": "/a/../b"})),
                "TUL3001: spec.http[0].rewrite.uri: \"/a/../b\" is not in normal form, which is \"/b\"; correct the value",
            ),
            (
                rewrite(json!({"uri": "*"})),
                "TUL3001: spec.http[0].rewrite.uri: \"*\" cannot be used: the path does not start with '/'; correct the value",
            ),
            (
                rewrite(json!({"uri": "/a", "uriRegexRewrite": {"match": "a", "rewrite": "b"}})),
                "TUL3001: spec.http[0].rewrite: has both uri and uriRegexRewrite; give one of them",
            ),
            (
                regex("(", "x"),
                "TUL3012: spec.http[0].rewrite.uriRegexRewrite.match: is not a regular expression: unclosed group; \
                 correct the pattern",
            ),
            (
                regex("(a)", "\\2"),
                "TUL3001: spec.http[0].rewrite.uriRegexRewrite.rewrite: uses \\2, and the pattern has no such group; \
                 correct the value",
            ),
            (
                rewrite(json!({"authority": "a b"})),
                "TUL3001: spec.http[0].rewrite.authority: \"a b\" is not a host with or without a port; correct the value",
            ),
        ],
    );
}

#[test]
fn durations_may_have_decimals() {
    let rows =
        [("1.5s", 1_500_000_000), ("0.5ms", 500_000), ("1.000000001s", 1_000_000_001), ("0.25h", 900_000_000_000)];
    for (text, nanoseconds) in rows {
        let rule = parse(&with("timeout", json!(text)));
        assert_eq!(rule.filters.timeout, Some(Duration::from_nanos(nanoseconds)), "{text}");
    }
}

fn percent(value: f64) -> Percent {
    Percent::new(value).unwrap()
}

#[test]
fn a_fault_is_read() {
    let second = Duration::from_secs(1);
    let rows = [
        (
            json!({"delay": {"fixedDelay": "1s", "percentage": {"value": 0.1}}, "abort": {"httpStatus": 503, "percentage": {"value": 50}}}),
            Fault { delay: Some((second, percent(0.1))), abort: Some((Abort::Http(503), percent(50.0))) },
        ),
        // No percentage is no fault.
        (json!({"delay": {"fixedDelay": "1s"}}), Fault { delay: Some((second, percent(0.0))), abort: None }),
        (
            json!({"abort": {"grpcStatus": "UNAVAILABLE"}}),
            Fault { delay: None, abort: Some((Abort::Grpc(14), percent(0.0))) },
        ),
        (
            json!({"abort": {"httpStatus": 500, "percentage": {}}}),
            Fault { delay: None, abort: Some((Abort::Http(500), percent(0.0))) },
        ),
        // The deprecated field, and which of both counts.
        (
            json!({"delay": {"fixedDelay": "1s", "percent": 7}}),
            Fault { delay: Some((second, percent(7.0))), abort: None },
        ),
        (
            json!({"delay": {"fixedDelay": "1s", "percent": 7, "percentage": {"value": 8}}}),
            Fault { delay: Some((second, percent(8.0))), abort: None },
        ),
    ];
    for (written, fault) in rows {
        assert_eq!(parse(&with("fault", written.clone())).filters.fault, Some(fault), "{written}");
    }
}

#[test]
fn faults_with_a_mistake() {
    let fault = |fault: Value| with("fault", fault);
    let delay = |delay: Value| with("fault", json!({"delay": delay}));
    let abort = |abort: Value| with("fault", json!({"abort": abort}));
    refused(
        virtual_service,
        &[
            (fault(json!({})), "TUL3003: spec.http[0].fault: has neither delay nor abort; give at least one"),
            (
                delay(json!({"fixedDelay": "0s"})),
                "TUL3001: spec.http[0].fault.delay.fixedDelay: 0s is no delay from 1ms to 1h; correct the value",
            ),
            (
                delay(json!({"fixedDelay": "61m"})),
                "TUL3001: spec.http[0].fault.delay.fixedDelay: 61m is no delay from 1ms to 1h; correct the value",
            ),
            (
                delay(json!({"fixedDelay": "1s", "percentage": {"value": 100.5}})),
                "TUL3001: spec.http[0].fault.delay.percentage.value: 100.5 is no percentage; use 0 to 100",
            ),
            (
                delay(json!({"fixedDelay": "1s", "percent": -1})),
                "TUL3001: spec.http[0].fault.delay.percent: -1 is no percentage; use 0 to 100",
            ),
            (
                abort(json!({"percentage": {"value": 1}})),
                "TUL3001: spec.http[0].fault.abort: has not exactly one of httpStatus and grpcStatus; give one of them",
            ),
            (
                abort(json!({"httpStatus": 600})),
                "TUL3001: spec.http[0].fault.abort.httpStatus: 600 is no final status; use 200 to 599",
            ),
            (
                abort(json!({"grpcStatus": "14"})),
                "TUL3001: spec.http[0].fault.abort.grpcStatus: \"14\" is no gRPC status; use its name, such as UNAVAILABLE",
            ),
            (
                abort(json!({"httpStatus": 500, "http2Error": "x"})),
                "TUL3002: spec.http[0].fault.abort.http2Error: is not supported by this release; remove the field",
            ),
        ],
    );
}

#[test]
fn a_cors_policy_is_read() {
    let rule = parse(&with(
        "corsPolicy",
        json!({
            "allowOrigins": [{"exact": "https://a"}, {"prefix": "https://b"}, {"regex": "https://c.*"}],
            "allowMethods": ["GET", "PUT"], "allowHeaders": ["x-a", "*"], "exposeHeaders": ["x-b"],
            "maxAge": "24h", "allowCredentials": true, "unmatchedPreflights": "IGNORE",
        }),
    ));
    let cors = rule.filters.cors.unwrap();
    assert_eq!(cors.origins[..2], [StringMatch::Exact("https://a".into()), StringMatch::Prefix("https://b".into())]);
    let lists = [cors.methods, cors.headers, cors.expose, cors.max_age];
    assert_eq!(lists.map(Option::unwrap), ["GET,PUT", "x-a,*", "x-b", "86400"]);
    assert_eq!((cors.origins.len(), cors.credentials, cors.forward_unmatched), (3, true, false));
    // The deprecated list counts only where the other is absent.
    let rows = [
        (json!({"allowOrigin": ["https://a", "*"]}), vec!["https://a", "*"]),
        (json!({"allowOrigin": ["https://a"], "allowOrigins": [{"exact": "https://b"}]}), vec!["https://b"]),
        (json!({}), vec![]),
    ];
    for (written, origins) in rows {
        let cors = parse(&with("corsPolicy", written.clone())).filters.cors.unwrap();
        let origins: Vec<_> = origins.into_iter().map(|origin| StringMatch::Exact(origin.into())).collect();
        assert_eq!((cors.origins, cors.forward_unmatched, cors.max_age), (origins, true, None), "{written}");
    }
}

#[test]
fn cors_policies_with_a_mistake() {
    let cors = |cors: Value| with("corsPolicy", cors);
    refused(
        virtual_service,
        &[
            (
                cors(json!({"allowOrigins": [{"exact": "a"}, {}]})),
                "TUL3003: spec.http[0].corsPolicy.allowOrigins[1]: has none of exact, prefix and regex; give exactly one",
            ),
            (
                cors(json!({"allowMethods": ["GET", "a b"]})),
                "TUL3001: spec.http[0].corsPolicy.allowMethods[1]: \"a b\" is no method or header name; correct the value",
            ),
            (
                cors(json!({"exposeHeaders": ["a\r\nb"]})),
                "TUL3001: spec.http[0].corsPolicy.exposeHeaders[0]: \"a\\r\\nb\" is no method or header name; correct the value",
            ),
            (
                cors(json!({"maxAge": "1 day"})),
                "TUL3001: spec.http[0].corsPolicy.maxAge: \"1 day\" is not a duration; \
                 write numbers with units, such as 500ms, 10s or 1m30s",
            ),
            (
                cors(json!({"unmatchedPreflights": "DROP"})),
                "TUL3001: spec.http[0].corsPolicy.unmatchedPreflights: \"DROP\" is no way to treat a preflight; use FORWARD or IGNORE",
            ),
        ],
    );
}

#[test]
fn every_field_of_retries_is_read() {
    let retry = |retries| parse(&with("retries", retries)).filters.retry;
    let all = json!({
        "attempts": 3, "perTryTimeout": "2s", "retryOn": "reset-before-request,503", "retryRemoteLocalities": true,
        "retryIgnorePreviousHosts": false, "backoff": "100ms",
    });
    let policy = RetryPolicy {
        attempts: 3,
        per_try_timeout: Some(Duration::from_secs(2)),
        on: RetryOn::parse("reset-before-request,503").unwrap(),
        backoff: Duration::from_millis(100),
        remote_localities: true,
        elsewhere: false,
    };
    assert_eq!(retry(all), Some(policy));
    let default = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
    assert_eq!(retry(json!({"attempts": 1, "backoff": "0s"})), Some(default));
    assert_eq!(retry(json!({"perTryTimeout": "1s"})), None, "no attempts are no retries");
    refused(
        virtual_service,
        &[(
            with("retries", json!({"attempts": 1, "backoff": "soon"})),
            "TUL3001: spec.http[0].retries.backoff: \"soon\" is not a duration; \
             write numbers with units, such as 500ms, 10s or 1m30s",
        )],
    );
}

#[test]
fn mirrors_are_read_with_their_shares() {
    let mirror = |host: &str, port, value| {
        let destination = Destination {
            service: ServiceRef::new("shop", host),
            port,
            subset: None,
            policy: TrafficPolicy::default(),
        };
        Mirror { destination, share: percent(value) }
    };
    let rows = [
        (
            json!({"mirrors": [
               {"destination": {"host": "dark", "port": {"number": 81}}, "percentage": {"value": 12.5}},
               {"destination": {"host": "darker"}},
            ]}),
            vec![mirror("dark", Some(81), 12.5), mirror("darker", None, 100.0)],
        ),
        (json!({"mirror": {"host": "dark"}}), vec![mirror("dark", None, 100.0)]),
        (json!({"mirror": {"host": "dark"}, "mirrorPercentage": {"value": 0.1}}), vec![mirror("dark", None, 0.1)]),
        (json!({"mirror": {"host": "dark"}, "mirrorPercentage": {}}), vec![mirror("dark", None, 0.0)]),
        // The deprecated field, and which of both counts.
        (json!({"mirror": {"host": "dark"}, "mirrorPercent": 7}), vec![mirror("dark", None, 7.0)]),
        (
            json!({"mirror": {"host": "dark"}, "mirrorPercent": 7, "mirrorPercentage": {"value": 8}}),
            vec![mirror("dark", None, 8.0)],
        ),
        (json!({"mirrors": []}), vec![]),
    ];
    for (mut written, mirrors) in rows {
        written["route"] = to_web();
        let rule = parse(&http(written.clone()));
        assert_eq!(rule.filters.mirrors, mirrors, "{written}");
        // What is copied to is a reference like any other.
        assert_eq!(rule.destinations().count(), 1 + mirrors.len(), "{written}");
    }
}

#[test]
fn mirrors_with_a_mistake() {
    let mirrors = |mirrors: Value| with("mirrors", mirrors);
    let older = |mut rule: Value| {
        rule["route"] = to_web();
        http(rule)
    };
    let dark = json!({"host": "dark"});
    refused(
        virtual_service,
        &[
            (
                mirrors(json!([{"destination": dark, "percentage": {"value": 100.5}}])),
                "TUL3001: spec.http[0].mirrors[0].percentage.value: 100.5 is no percentage; use 0 to 100",
            ),
            (
                mirrors(json!([{"destination": dark}, {"destination": {"host": "dark", "subset": "v1"}}])),
                "TUL3014: spec.http[0].mirrors[1].destination.subset: \"v1\" is no subset of shop/dark: none is defined; \
                 add it to spec.subsets, or correct the name",
            ),
            (
                mirrors(json!([{"destination": dark, "share": 1}])),
                "TUL3002: spec.http[0].mirrors[0].share: is not supported by this release; remove the field",
            ),
            (
                mirrors(json!(vec![json!({"destination": dark}); 9])),
                "TUL3001: spec.http[0].mirrors: has more than 8 entries; correct the value",
            ),
            (
                older(json!({"mirror": dark, "mirrorPercentage": {"value": -1}})),
                "TUL3001: spec.http[0].mirrorPercentage.value: -1 is no percentage; use 0 to 100",
            ),
            (
                older(json!({"mirror": dark, "mirrorPercent": 101})),
                "TUL3001: spec.http[0].mirrorPercent: 101 is no percentage; use 0 to 100",
            ),
            (
                older(json!({"mirrorPercent": 1})),
                "TUL3003: spec.http[0].mirrorPercent: is a share and there is no mirror; give mirror, or remove the share",
            ),
            (
                older(json!({"mirror": dark, "mirrors": [{"destination": dark}]})),
                "TUL3001: spec.http[0].mirror: has both mirror and mirrors; move it into mirrors",
            ),
            (
                http(json!({"redirect": {"uri": "/x"}, "mirror": dark})),
                "TUL3001: spec.http[0].mirror: nothing is forwarded that could be mirrored; remove it, or give a route",
            ),
        ],
    );
}

/// A spec with subsets of `web` and `api`, and one rule of each list that names `subset` of `web`.
fn with_subsets(subset: &str) -> Value {
    let to = json!({"host": "web", "subset": subset});
    json!({
        "hosts": ["web"],
        "subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v1", "labels": {"version": "api-v1"}, "host": "api"},
            {"name": "v2", "labels": {"version": "v2", "track": ""}, "host": "web.shop.svc.cluster.local"},
            {"name": "all"},
        ],
        "http": [{"route": [{"destination": to}], "mirrors": [{"destination": {"host": "api", "subset": "v1"}}]}],
        "tls": [{"match": [{"sniHosts": ["*"]}], "route": [{"destination": to}]}],
        "tcp": [{"route": [{"destination": to}]}],
    })
}

#[test]
fn subsets_are_found_by_host_and_name() {
    let shown = |destination: &Destination| {
        let labels = |subset: &Subset| subset.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        let subset = destination.subset.as_ref().map(|subset| format!("{} {}", subset.name, labels(subset).join(",")));
        format!("{} {}", destination.service.name, subset.unwrap_or_default())
    };
    for (name, want) in [("v1", "web v1 version=v1"), ("v2", "web v2 track=,version=v2"), ("all", "web all ")] {
        let parsed = virtual_service(&with_subsets(name)).unwrap();
        let of_requests: Vec<_> = parsed.rules.iter().flat_map(Rule::destinations).map(shown).collect();
        assert_eq!(of_requests, [want, "api v1 version=api-v1"], "{name}");
        let of_bytes: Vec<_> = parsed.bytes.rules().flat_map(|rule| rule.destinations()).map(shown).collect();
        assert_eq!(of_bytes, [want, want], "{name}");
    }
}

#[test]
fn subsets_with_a_mistake() {
    let changed = |path: &str, value: Value| {
        let mut spec = with_subsets("v1");
        *spec.pointer_mut(path).unwrap() = value;
        spec
    };
    let first = |subset: Value| changed("/subsets/0", subset);
    refused(
        virtual_service,
        &[
            (
                with_subsets("v3"),
                "TUL3014: spec.http[0].route[0].destination.subset: \"v3\" is no subset of shop/web, which has v1, v2, all; \
                 add it to spec.subsets, or correct the name",
            ),
            (
                changed("/tls/0/route/0/destination/subset", json!("v3")),
                "TUL3014: spec.tls[0].route[0].destination.subset: \"v3\" is no subset of shop/web, which has v1, v2, all; \
                 add it to spec.subsets, or correct the name",
            ),
            (
                changed("/tcp/0/route/0/destination", json!({"host": "api", "subset": "v2"})),
                "TUL3014: spec.tcp[0].route[0].destination.subset: \"v2\" is no subset of shop/api, which has v1, all; \
                 add it to spec.subsets, or correct the name",
            ),
            (
                first(json!({"name": "all"})),
                "TUL3004: spec.subsets[3].name: \"all\" is defined twice; keep one of the two",
            ),
            (
                first(json!({"name": "v 1"})),
                "TUL3001: spec.subsets[0].name: \"v 1\" is not of lower-case letters, digits and '-', 1 to 63; correct the value",
            ),
            (
                first(json!({"name": "v1", "host": "web.bank"})),
                "TUL3006: spec.subsets[0].host: bank/web is in another namespace than this object (shop); \
                 refer to services of the object's own namespace",
            ),
            (
                first(json!({"name": "v1", "labels": {"version": "v1 "}})),
                "TUL3012: spec.subsets[0].labels[version]: \"v1 \" never fits: no label has such a value; \
                 correct the pattern",
            ),
            (
                first(json!({"name": "v1", "labels": {"controller-revision-hash": "x"}})),
                "TUL3001: spec.subsets[0].labels[controller-revision-hash]: changes pod by pod during a rollout and is not \
                 published; give the pod template a label of its own, such as version",
            ),
            (
                first(json!({"name": "v1", "trafficPolicy": {"loadBalancer": {"simple": "PASSTHROUGH"}}})),
                "TUL3001: spec.subsets[0].trafficPolicy.loadBalancer.simple: \"PASSTHROUGH\" is no way to choose an endpoint \
                 here; use LEAST_REQUEST, ROUND_ROBIN or RANDOM",
            ),
        ],
    );
    let finding = virtual_service(&with_subsets("v3")).unwrap_err().finding();
    assert_eq!((finding.kind.as_str(), finding.reason.as_str()), ("ResolvedRefs", "SubsetNotFound"));
}

/// A spec with this policy for all its destinations, and one for its subset `v1`.
fn with_policies(all: &Value, v1: &Value) -> Value {
    let mut spec = with_subsets("v1");
    spec["trafficPolicy"] = all.clone();
    spec["subsets"][0]["trafficPolicy"] = v1.clone();
    spec["http"][0]["route"] = json!([
        {"destination": {"host": "web"}, "weight": 1}, {"destination": {"host": "web", "subset": "v1"}, "weight": 1},
    ]);
    spec
}

#[test]
fn a_field_of_a_subsets_policy_stands_in_place_of_the_objects() {
    let balancer = |simple: &str| json!({"loadBalancer": {"simple": simple}});
    let limit = |limit: &str| json!({"connectionPool": {"tcp": {"connectTimeout": limit}}});
    let both = |simple: &str, limit: &str| {
        json!({
            "loadBalancer": {"simple": simple}, "connectionPool": {"tcp": {"connectTimeout": limit}},
        })
    };
    let policy = |balance, milliseconds: u64| TrafficPolicy {
        balance,
        connect_timeout: Some(Duration::from_millis(milliseconds)).filter(|limit| !limit.is_zero()),
    };
    let default = policy(Balance::LeastRequest, 0);
    let rows = [
        (Value::Null, Value::Null, default, default),
        (json!({}), json!({"loadBalancer": {}, "connectionPool": {"tcp": {}}}), default, default),
        (balancer("LEAST_CONN"), balancer("UNSPECIFIED"), default, default),
        (balancer("RANDOM"), Value::Null, policy(Balance::Random, 0), policy(Balance::Random, 0)),
        (balancer("RANDOM"), limit("1.5s"), policy(Balance::Random, 0), policy(Balance::Random, 1500)),
        (both("RANDOM", "1ms"), balancer("ROUND_ROBIN"), policy(Balance::Random, 1), policy(Balance::RoundRobin, 1)),
        (both("RANDOM", "1ms"), json!({"loadBalancer": {}, "connectionPool": {}}), policy(Balance::Random, 1), default),
    ];
    for (all, v1, want, want_v1) in rows {
        let parsed = virtual_service(&with_policies(&all, &v1)).unwrap();
        let of_requests: Vec<_> = parsed.rules[0].destinations().map(|to| to.policy).collect();
        // The mirror goes to a subset without a policy of its own.
        assert_eq!(of_requests, [want, want_v1, want], "{all} {v1}");
        let of_bytes: Vec<_> = parsed.bytes.rules().flat_map(|rule| rule.destinations()).map(|to| to.policy).collect();
        assert_eq!(of_bytes, [want_v1, want_v1], "{all} {v1}");
    }
}

#[test]
fn policies_with_a_mistake() {
    let row = |policy: Value, want| (with_policies(&policy, &Value::Null), want);
    let limit = |limit: &str| json!({"connectionPool": {"tcp": {"connectTimeout": limit}}});
    refused(
        virtual_service,
        &[
            row(
                json!({"outlierDetection": {"consecutive5xxErrors": 5}}),
                "TUL3002: spec.trafficPolicy.outlierDetection: is not supported by this release; remove the field",
            ),
            row(
                json!({"loadBalancer": {"consistentHash": {"useSourceIp": true}}}),
                "TUL3002: spec.trafficPolicy.loadBalancer.consistentHash: is not supported by this release; remove the field",
            ),
            row(
                json!({"connectionPool": {"http": {"maxRetries": 1}}}),
                "TUL3002: spec.trafficPolicy.connectionPool.http: is not supported by this release; remove the field",
            ),
            row(
                json!({"connectionPool": {"tcp": {"maxConnections": 1}}}),
                "TUL3002: spec.trafficPolicy.connectionPool.tcp.maxConnections: is not supported by this release; \
                 remove the field",
            ),
            row(
                limit("0s"),
                "TUL3001: spec.trafficPolicy.connectionPool.tcp.connectTimeout: is below 1ms, in which no connection opens; \
                 give more, or remove it",
            ),
            row(
                limit("soon"),
                "TUL3001: spec.trafficPolicy.connectionPool.tcp.connectTimeout: \"soon\" is not a duration; \
                 write numbers with units, such as 500ms, 10s or 1m30s",
            ),
        ],
    );
}

#[test]
fn whom_a_rule_may_delegate_to() {
    let to_team =
        |namespace: Value| json!({"hosts": ["web"], "http": [{"delegate": {"name": "team", "namespace": namespace}}]});
    let root = |namespace| virtual_service(&to_team(namespace)).unwrap();
    let team = |spec: Value| {
        let mut spec = spec;
        spec["http"] = json!([{"timeout": "0s", "route": to_web()}]);
        virtual_service(&spec).unwrap()
    };
    let rows = [
        ("no hosts", Value::Null, json!({}), None),
        ("hosts", Value::Null, json!({"hosts": ["api"]}), Some("has hosts of its own")),
        ("exported to all", json!("bank"), json!({}), None),
        ("exported to this namespace", json!("bank"), json!({"exportTo": ["shop"]}), None),
        ("not exported", json!("bank"), json!({"exportTo": ["elsewhere"]}), Some("is not exported")),
        ("at home no export is needed", Value::Null, json!({"exportTo": ["elsewhere"]}), None),
    ];
    for (what, namespace, spec, broken) in rows {
        let (root, team) = (root(namespace), team(spec));
        let composed = root.composed(|_| Some(&team));
        let why = composed.broken.first().map(|(_, why)| why.to_string());
        assert_eq!(why.is_some(), broken.is_some(), "{what}: {why:?}");
        assert!(why.unwrap_or_default().contains(broken.unwrap_or_default()), "{what}");
        assert_eq!(composed.rules[0].delegate().is_some(), broken.is_some(), "{what}");
    }
    refused(
        virtual_service,
        &[
            (
                to_team(json!("a.b")),
                "TUL3001: spec.http[0].delegate.namespace: \"a.b\" is no name of a namespace; correct the value",
            ),
            (
                json!({"hosts": ["web"], "http": [{"delegate": {"name": "A"}}]}),
                "TUL3001: spec.http[0].delegate.name: \"A\" is no name of an object; correct the value",
            ),
        ],
    );
}
