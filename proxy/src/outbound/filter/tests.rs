//! What rules do to requests and answers, over real sockets: a caller, two proxies with mutual TLS between them, applications.

mod mirrors;

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use tulle_core::name::Namespace;
use tulle_core::route::filter::Edits;
use tulle_core::route::filter::cors::CorsPolicy;
use tulle_core::route::filter::direct::DirectResponse;
use tulle_core::route::filter::fault::{Abort, Fault};
use tulle_core::route::filter::percent::Percent;
use tulle_core::route::filter::redirect::{Redirect as To, RedirectPath, RedirectPort};
use tulle_core::route::filter::rewrite::{RegexRewrite, Rewrite};
use tulle_core::route::{Branch, Delegate, Filters, HeaderMatch, Match, StringMatch};
use tulle_core::split::{Split, Weight};

use super::*;
use crate::testing::Mesh;
use crate::testing::http::{Application, BOTH, Caller, Speaks};
use crate::testing::rules::{editing, edits, rule};

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// A rule that cannot be read stands before one that would take all of its requests.
#[tokio::test]
async fn a_rule_that_cannot_be_read_refuses_what_fits_it_and_nothing_else() {
    for speaks in BOTH {
        let app = Application::start("app", &[]).await;
        let rules =
            vec![rule("/bad", Action::Invalid, Filters::default()), rule("/", Action::to(0), Filters::default())];
        let mesh = Mesh::routed(&[app.address], rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        for (path, status, error) in [("/a", 200, None), ("/bad/x", 500, Some("invalid-rule; code=TUL2020; id="))] {
            let answer = caller.send(Method::GET, path, &[], b"").await;
            assert_eq!(answer.status(), status, "{speaks:?} {path}");
            let told = answer.headers().get("tulle-error").map(|value| value.to_str().unwrap());
            assert_eq!(told.map(|told| told.split_inclusive("id=").next().unwrap()), error, "{speaks:?} {path}");
        }
        let answer = caller.send(Method::POST, "/bad", &[GRPC], b"").await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["grpc-status"]),
            (200, &HeaderValue::from_static("13"))
        );
        assert_eq!(caller.send(Method::GET, "/", &[], b"").await.status(), 200, "{speaks:?}: the connection lives");
    }
}

#[tokio::test]
async fn header_edits_are_seen_by_application_and_caller() {
    for speaks in BOTH {
        let mut app = Application::start("app", &[("server", "x"), ("x-both", "app")]).await;
        let request = edits(("x-way", "rule"), "x-gone");
        let response = edits(("x-both", "rule"), "server");
        let filters = editing(Edits { request, response, authority: None });
        let mesh = Mesh::routed(&[app.address], vec![rule("/", Action::to(0), filters)]);
        let mut caller = Caller::new(&mesh, speaks).await;
        let sent = [("x-way", "caller"), ("X-Gone", "1"), ("x-kept", "1"), ("x-way", "again")];
        let answer = caller.send(Method::GET, "/", &sent, b"").await;
        let asked = app.asked().await;
        assert_eq!(values(asked.headers(), "x-way"), ["rule"], "{speaks:?}");
        assert_eq!(values(asked.headers(), "x-kept"), ["1"], "{speaks:?}");
        assert!(!asked.headers().contains_key("x-gone"), "{speaks:?}");
        assert_eq!(values(answer.headers(), "x-both"), ["rule"], "{speaks:?}");
        assert!(!answer.headers().contains_key("server"), "{speaks:?}");
        assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"app"[..]), "{speaks:?}");
    }
}

#[tokio::test]
async fn each_destination_has_edits_of_its_own_before_those_of_the_rule() {
    for speaks in BOTH {
        let mut apps = [Application::start("one", &[]).await, Application::start("two", &[]).await];
        let branch = |destination, way| Branch {
            destination,
            edits: Edits {
                request: edits(("x-way", way), "x-gone"),
                authority: Some(format!("{way}.example").parse().unwrap()),
                response: edits(("x-answered", way), "server"),
            },
        };
        let branches = Split::new([(branch(0, "one"), Weight(1)), (branch(1, "two"), Weight(1))]).unwrap();
        let filters = editing(Edits { request: edits(("x-rule", "1"), "x-none"), ..Edits::default() });
        let mesh =
            Mesh::routed(&apps.each_ref().map(|app| app.address), vec![rule("/", Action::Forward(branches), filters)]);
        let mut caller = Caller::new(&mesh, speaks).await;
        let mut seen = [0, 0];
        for _ in 0..40 {
            let answer = caller.send(Method::GET, "/", &[("x-gone", "1")], b"").await;
            let way = std::str::from_utf8(answer.body()).unwrap();
            let index = usize::from(way == "two");
            seen[index] += 1;
            let asked = apps[index].asked().await;
            assert_eq!(
                (values(asked.headers(), "x-way"), values(asked.headers(), "x-rule")),
                (vec![way.into()], vec!["1".into()])
            );
            assert!(!asked.headers().contains_key("x-gone"), "{speaks:?}");
            assert_eq!(authority(&asked), format!("{way}.example"), "{speaks:?}");
            assert_eq!(values(answer.headers(), "x-answered"), [way], "{speaks:?}");
        }
        assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
    }
}

#[tokio::test]
async fn a_split_of_some_requests_leaves_the_others_to_the_service() {
    let apps = [Application::start("service", &[]).await, Application::start("split", &[]).await];
    let tester = HeaderMatch::Value(StringMatch::Exact("test".into()));
    let matches = vec![Match { headers: vec![("x-user".into(), tester)], ..Match::default() }];
    let mesh = Mesh::split(&apps.each_ref().map(|app| app.address), matches);
    for speaks in BOTH {
        let mut caller = Caller::new(&mesh, speaks).await;
        for (user, way) in [("test", "split"), ("other", "service"), ("test", "split")] {
            let answer = caller.send(Method::GET, "/", &[("x-user", user)], b"").await;
            assert_eq!(answer.body(), way, "{speaks:?} {user}");
        }
    }
}

/// The authority a request was sent to, whatever its version.
fn authority(asked: &crate::testing::http::Asked) -> String {
    let host = || values(asked.headers(), "host").join("|");
    asked.uri().authority().map_or_else(host, |authority| authority.to_string())
}

#[tokio::test]
async fn a_path_is_rewritten_and_the_query_stays() {
    let regex = |pattern, with| Rewrite::Regex(RegexRewrite::new(pattern, with).unwrap());
    for speaks in BOTH {
        let mut app = Application::start("app", &[]).await;
        let with = |rewrite, authority: Option<&str>| Filters {
            rewrite: Some(rewrite),
            ..editing(Edits { authority: authority.map(|it| it.parse().unwrap()), ..Edits::default() })
        };
        let rules = vec![
            rule("/api/", Action::to(0), with(Rewrite::Path("/".into()), Some("inner.example:8080"))),
            rule("/items/", Action::to(0), with(regex("^/items/([0-9]+)/(.*)$", "/\\2/\\1"), None)),
            rule("/bad", Action::to(0), with(regex("^/", ""), None)),
            rule("/", Action::to(0), Filters::default()),
        ];
        let mesh = Mesh::routed(&[app.address], rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        let rows = [
            ("/api/v1//x?a=/b", "/v1/x?a=/b", "inner.example:8080"),
            ("/items/7/detail", "/detail/7", "web.shop"),
            ("/items/x?q", "/items/x?q", "web.shop"),
            ("/other", "/other", "web.shop"),
        ];
        for (path, target, expected) in rows {
            assert_eq!(caller.get(path).await.status(), StatusCode::OK, "{speaks:?} {path}");
            let asked = app.asked().await;
            let got = asked.uri().path_and_query().unwrap().as_str().to_owned();
            assert_eq!((got.as_str(), authority(&asked).as_str()), (target, expected), "{speaks:?} {path}");
        }
        let refused = caller.get("/bad").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{speaks:?}");
        assert!(values(refused.headers(), "tulle-error")[0].starts_with("bad-request; code=TUL2006"), "{speaks:?}");
        assert!(app.was_not_asked(), "{speaks:?}");
    }
}

fn redirect(path: RedirectPath) -> Action<usize> {
    Action::Redirect(To {
        status: 302,
        scheme: Some("https".into()),
        authority: None,
        port: RedirectPort::OfAuthority,
        path,
    })
}

fn answers(status: u16, body: &'static str) -> Action<usize> {
    Action::Answer(DirectResponse { status, body: body.into() })
}

#[tokio::test]
async fn redirects_and_fixed_answers_are_ordinary_answers() {
    for speaks in BOTH {
        let mut app = Application::start("app", &[]).await;
        let labelled = editing(Edits { response: edits(("x-by", "rule"), "x"), ..Edits::default() });
        let rules = vec![
            rule("/old", redirect(RedirectPath::Prefix("/new".into())), labelled.clone()),
            rule("/down", answers(503, "closed for today"), labelled),
            rule("/empty", answers(204, ""), Filters::default()),
            rule("/", Action::to(0), Filters::default()),
        ];
        let mesh = Mesh::routed(&[app.address], rules);
        // One connection for all: none of these ends it.
        let mut caller = Caller::new(&mesh, speaks).await;
        let moved = caller.send(Method::POST, "/old/x?q=1", &[], &[b'x'; 10_000]).await;
        assert_eq!(
            (moved.status(), values(moved.headers(), "location")),
            (StatusCode::FOUND, vec!["https://web.shop/new/x?q=1".into()])
        );
        assert_eq!((values(moved.headers(), "x-by"), moved.body().len()), (vec!["rule".into()], 0), "{speaks:?}");
        let down = caller.get("/down").await;
        assert_eq!((down.status(), &down.body()[..]), (StatusCode::SERVICE_UNAVAILABLE, &b"closed for today"[..]));
        assert_eq!(
            (values(down.headers(), "content-type"), values(down.headers(), "x-by")),
            (vec!["text/plain".into()], vec!["rule".into()])
        );
        assert!(!down.headers().contains_key("tulle-error"), "{speaks:?}: the rule says so, nothing failed");
        let head = caller.send(Method::HEAD, "/down", &[], b"").await;
        assert_eq!(
            (head.status(), head.body().len(), values(head.headers(), "content-length")),
            (StatusCode::SERVICE_UNAVAILABLE, 0, vec!["16".into()])
        );
        let empty = caller.get("/empty").await;
        assert_eq!((empty.status(), empty.headers().contains_key("content-length")), (StatusCode::NO_CONTENT, false));
        assert_eq!(caller.get("/on").await.body(), "app", "{speaks:?}: the connection goes on");
        app.asked().await;
        assert!(app.was_not_asked(), "{speaks:?}");
        let series = mesh.caller.metrics.lock();
        let counted = |code| -> u64 {
            let ruled = series.http.iter().filter(|(labels, _)| labels.backend.is_empty());
            ruled
                .flat_map(|(_, cells)| cells.outcomes().map(|(outcome, count)| (outcome.status, count)))
                .filter(|(known, _)| *known == code)
                .map(|(_, count)| count)
                .sum()
        };
        assert_eq!([302, 503, 204].map(counted), [1, 2, 1], "{speaks:?}");
        assert!(series.refusals.is_empty(), "{speaks:?}");
    }
}

#[tokio::test]
async fn grpc_callers_get_a_grpc_status_of_rules_too() {
    let own = edits(("grpc-status", "0"), "x");
    let mut app = Application::start("app", &[]).await;
    let rules = vec![
        rule("/moved", redirect(RedirectPath::Same), Filters::default()),
        rule("/down", answers(503, "closed: 100 %"), Filters::default()),
        rule("/own", answers(200, ""), editing(Edits { response: own, ..Edits::default() })),
    ];
    let mesh = Mesh::routed(&[app.address], rules);
    let mut caller = Caller::new(&mesh, Speaks::Http2).await;
    let rows = [
        ("/moved.Service/Call", "2", "https://web.shop/moved.Service/Call"),
        ("/down.Service/Call", "14", "closed: 100 %25"),
        ("/own.Service/Call", "0", ""),
    ];
    for (path, status, message) in rows {
        let answer = caller.send(Method::POST, path, &[GRPC, ("te", "trailers")], b"\0\0\0\0\0").await;
        assert_eq!(
            (answer.status(), values(answer.headers(), "grpc-status")),
            (StatusCode::OK, vec![status.to_owned()]),
            "{path}"
        );
        assert_eq!(
            (values(answer.headers(), "grpc-message"), answer.body().len()),
            (vec![message.to_owned()], 0),
            "{path}"
        );
        assert_eq!(values(answer.headers(), "content-type"), ["application/grpc"], "{path}");
    }
    assert!(app.was_not_asked());
}

#[tokio::test]
async fn a_long_fixed_answer_arrives_whole_though_its_request_does_not() {
    let body: &'static str = "tulle ".repeat(20_000).leak();
    for speaks in BOTH {
        let app = Application::start("app", &[]).await;
        let mesh = Mesh::routed(&[app.address], vec![rule("/", answers(200, body), Filters::default())]);
        let mut caller = Caller::new(&mesh, speaks).await;
        let answer = caller.send(Method::POST, "/", &[], &[b'x'; 100_000]).await;
        assert!(answer.body() == body, "{speaks:?}: {} bytes", answer.body().len());
    }
}

fn all() -> Percent {
    Percent::ALL
}

#[tokio::test]
async fn an_aborted_request_fails_as_the_rule_says_and_reaches_nobody() {
    let abort =
        |abort| Filters { fault: Some(Fault { delay: None, abort: Some((abort, all())) }), ..Filters::default() };
    for speaks in BOTH {
        let mut app = Application::start("app", &[]).await;
        let rules = vec![
            rule("/http", Action::to(0), abort(Abort::Http(418))),
            rule("/grpc", Action::to(0), abort(Abort::Grpc(8))),
            rule("/moved", redirect(RedirectPath::Same), abort(Abort::Http(500))),
        ];
        let mesh = Mesh::routed(&[app.address], rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        for (path, status) in [("/http", 418), ("/grpc", 429), ("/moved", 500)] {
            let answer = caller.get(path).await;
            assert_eq!(answer.status().as_u16(), status, "{speaks:?} {path}");
            assert!(
                values(answer.headers(), "tulle-error")[0].starts_with("fault; code=TUL2019; id="),
                "{speaks:?} {path}"
            );
        }
        for (path, status) in [("/http.S/C", "2"), ("/grpc.S/C", "8")] {
            let answer = caller.send(Method::POST, path, &[GRPC], b"").await;
            assert_eq!(
                (answer.status(), values(answer.headers(), "grpc-status")),
                (StatusCode::OK, vec![status.to_owned()])
            );
        }
        assert!(app.was_not_asked(), "{speaks:?}");
        let refused = mesh
            .caller
            .metrics
            .lock()
            .refusals
            .iter()
            .map(|(labels, cells)| (labels.reason, cells.get()))
            .collect::<Vec<_>>();
        assert_eq!(refused, [("fault", 5)], "{speaks:?}");
    }
}

#[tokio::test]
async fn what_a_broken_delegation_takes_has_no_route() {
    for speaks in BOTH {
        let app = Application::start("app", &[]).await;
        let gone = Delegate { namespace: Namespace::new("shop"), name: "gone".into() };
        let taken = rule("/team", Action::Delegate(gone), Filters::default());
        let mesh = Mesh::routed(&[app.address], vec![taken, rule("/", Action::to(0), Filters::default())]);
        let mut caller = Caller::new(&mesh, speaks).await;
        let answer = caller.get("/team/a").await;
        let told = answer.headers()["tulle-error"].to_str().unwrap();
        assert!(answer.status().as_u16() == 404 && told.starts_with("no-route; code=TUL2001"), "{speaks:?} {told}");
        assert_eq!(caller.get("/other").await.body(), "app", "{speaks:?}");
    }
}

#[tokio::test]
async fn a_delay_holds_requests_up_and_is_no_part_of_the_timeout() {
    let long = Duration::from_millis(300);
    let delay = |abort, timeout| Filters {
        fault: Some(Fault { delay: Some((long, all())), abort }),
        timeout,
        ..Filters::default()
    };
    for speaks in BOTH {
        let mut app = Application::start("app", &[]).await;
        let short = Some(Duration::from_millis(200));
        let rules = vec![
            rule("/on", Action::to(0), delay(None, short)),
            rule("/down", answers(503, "x"), delay(None, None)),
            rule("/fail", Action::to(0), delay(Some((Abort::Http(500), all())), None)),
            rule("/", Action::to(0), Filters::default()),
        ];
        let mesh = Mesh::routed(&[app.address], rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        for (path, status) in [("/on", 200), ("/down", 503), ("/fail", 500)] {
            let started = std::time::Instant::now();
            assert_eq!(caller.get(path).await.status().as_u16(), status, "{speaks:?} {path}");
            assert!(started.elapsed() >= long, "{speaks:?} {path}");
        }
        app.asked().await;
        let started = std::time::Instant::now();
        caller.get("/").await;
        assert!(started.elapsed() < long, "{speaks:?}: no other rule is held up");
    }
}

#[tokio::test]
async fn a_share_of_requests_is_drawn() {
    let quarter = Percent::new(25.0).unwrap();
    let filters =
        Filters { fault: Some(Fault { delay: None, abort: Some((Abort::Http(500), quarter)) }), ..Filters::default() };
    let app = Application::start("app", &[]).await;
    let mesh = Mesh::routed(&[app.address], vec![rule("/", Action::to(0), filters)]);
    let mut caller = Caller::new(&mesh, Speaks::Http1).await;
    let mut failed = 0;
    for _ in 0..1000 {
        failed += u32::from(caller.get("/").await.status() == StatusCode::INTERNAL_SERVER_ERROR);
    }
    // Five standard deviations: one run in two million is outside by chance.
    assert!((180..=320).contains(&failed), "{failed} of 1000");
}

#[tokio::test]
async fn a_caller_that_goes_away_while_it_is_held_up_is_not_forwarded() {
    let fault = Fault { delay: Some((Duration::from_millis(300), all())), abort: None };
    let mut app = Application::start("app", &[]).await;
    let rules = vec![
        rule("/held", Action::to(0), Filters { fault: Some(fault), ..Filters::default() }),
        rule("/", Action::to(0), Filters::default()),
    ];
    let mesh = Mesh::routed(&[app.address], rules);
    let mut held = Caller::new(&mesh, Speaks::Http2).await;
    let gone = tokio::time::timeout(Duration::from_millis(100), held.get("/held")).await;
    assert!(gone.is_err());
    drop(held);
    let mut caller = Caller::new(&mesh, Speaks::Http2).await;
    let mut other = Caller::new(&mesh, Speaks::Http2).await;
    caller.get("/held").await; // begun after the first, and over after it
    other.get("/other").await;
    let asked = [app.asked().await, app.asked().await].map(|asked| asked.uri().path().to_owned());
    assert_eq!(asked, ["/held", "/other"]);
    assert!(app.was_not_asked());
}

const PAGE: (&str, &str) = ("origin", "https://shop.example");

#[tokio::test]
async fn preflights_are_answered_for_the_application_and_answers_say_who_may_read_them() {
    let cors = CorsPolicy {
        origins: vec![StringMatch::Exact("https://shop.example".into())],
        methods: Some(HeaderValue::from_static("PUT")),
        credentials: true,
        ..CorsPolicy::default()
    };
    for speaks in BOTH {
        let mut app = Application::start("app", &[("access-control-allow-origin", "*"), ("vary", "accept")]).await;
        let filters = |cors| Filters {
            cors: Some(cors),
            ..editing(Edits { response: edits(("x-by", "rule"), "x"), ..Edits::default() })
        };
        let forward = CorsPolicy { forward_unmatched: true, ..cors.clone() };
        let rules = vec![
            rule("/forward", Action::to(0), filters(forward)),
            rule("/moved", redirect(RedirectPath::Same), filters(cors.clone())),
            rule("/", Action::to(0), filters(cors.clone())),
        ];
        let mesh = Mesh::routed(&[app.address], rules);
        let mut caller = Caller::new(&mesh, speaks).await;
        let method = ("access-control-request-method", "PUT");
        let preflight = caller.send(Method::OPTIONS, "/x", &[PAGE, method], b"").await;
        assert_eq!((preflight.status(), preflight.body().len()), (StatusCode::OK, 0), "{speaks:?}");
        assert_eq!(values(preflight.headers(), "access-control-allow-origin"), ["https://shop.example"]);
        assert_eq!(values(preflight.headers(), "access-control-allow-methods"), ["PUT"]);
        let unknown = caller.send(Method::OPTIONS, "/x", &[("origin", "https://evil.example"), method], b"").await;
        assert!(!unknown.headers().contains_key("access-control-allow-origin"), "{speaks:?}: IGNORE");
        assert!(app.was_not_asked(), "{speaks:?}");
        let unknown =
            caller.send(Method::OPTIONS, "/forward", &[("origin", "https://evil.example"), method], b"").await;
        assert_eq!(unknown.body(), "app", "{speaks:?}: FORWARD");
        let call = caller.send(Method::PUT, "/x", &[PAGE], b"body").await;
        assert_eq!(values(call.headers(), "access-control-allow-origin"), ["https://shop.example"], "{speaks:?}");
        assert_eq!(values(call.headers(), "access-control-allow-credentials"), ["true"], "{speaks:?}");
        assert_eq!(
            (values(call.headers(), "vary"), values(call.headers(), "x-by")),
            (vec!["accept".into(), "origin".into()], vec!["rule".into()])
        );
        let plain = caller.get("/x").await;
        assert_eq!(
            values(plain.headers(), "access-control-allow-origin"),
            ["*"],
            "{speaks:?}: what the application says stays"
        );
        let moved = caller.send(Method::GET, "/moved", &[PAGE], b"").await;
        assert_eq!(values(moved.headers(), "access-control-allow-origin"), ["https://shop.example"], "{speaks:?}");
    }
}
