//! What applications are told of traces and what is recorded, over real sockets: a caller, two proxies, an application.

use http::Method;
use tokio::sync::mpsc::Receiver;
use tulle_core::route::filter::Edits;
use tulle_core::route::{Action, Filters, Rule};

use super::*;
use crate::testing::Mesh;
use crate::testing::http::{Application, Asked, BOTH, Caller, Speaks, soon};
use crate::testing::rules::{editing, edits, rule};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn to_app() -> Vec<Rule<usize>> {
    vec![rule("/", Action::to(0), Filters::default())]
}

/// The application, the caller and the mesh between, which records this share of the traces that begin in it.
async fn traced(speaks: Speaks, percent: f64, rules: Vec<Rule<usize>>) -> (Application, Caller, Mesh, Receiver<Ended>) {
    let app = Application::start("app", &[]).await;
    let (spans, ended) = Spans::new(Percent::new(percent).unwrap());
    let mesh = Mesh::traced(&[app.address], rules, &spans);
    let caller = Caller::new(&mesh, speaks).await;
    (app, caller, mesh, ended)
}

/// The values of a header of the application's request, each alone.
fn header(asked: &Asked, name: &str) -> Vec<String> {
    asked.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// The client's span and the server's.
async fn both(ended: &mut Receiver<Ended>) -> [Ended; 2] {
    let mut spans = [soon(ended.recv()).await.unwrap(), soon(ended.recv()).await.unwrap()];
    spans.sort_by_key(|span| span.side == Side::Server);
    assert_eq!(spans.each_ref().map(|span| span.side), [Side::Client, Side::Server]);
    spans
}

fn attribute<'a>(span: &'a Ended, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[tokio::test]
async fn a_trace_begins_at_the_first_proxy_and_goes_through_both_to_the_application() {
    for speaks in BOTH {
        let (mut app, mut caller, _mesh, mut ended) = traced(speaks, 100.0, to_app()).await;
        let sent = [("tracestate", "other=1"), ("x-request-id", "r-1")];
        assert_eq!(caller.send(Method::POST, "/a?secret=1", &sent, b"four").await.status(), 200);
        let asked = app.asked().await;
        let [client, server] = both(&mut ended).await;
        assert_eq!(client.trace.parent, None, "{speaks:?}");
        assert_eq!((server.trace.trace, server.trace.parent), (client.trace.trace, Some(client.trace.span)));
        let told = format!("00-{}-{}-01", server.trace.trace, server.trace.span);
        assert_eq!(header(&asked, "traceparent"), [told], "{speaks:?}");
        assert!(header(&asked, "tracestate").is_empty(), "{speaks:?}: it belonged to no trace that could be read");
        assert_eq!([&*client.name, &*server.name], ["POST shop/web", "POST"]);
        for span in [&client, &server] {
            assert!(!span.failed && span.began <= span.ended, "{span:?}");
            assert_eq!(attribute(span, "http.request.method"), Some(&"POST".into()));
            assert_eq!(attribute(span, "url.path"), Some(&"/a".into()), "and nothing of the query");
            assert_eq!(attribute(span, "http.response.status_code"), Some(&200_u64.into()));
            assert_eq!(attribute(span, "http.request.body.size"), Some(&4_u64.into()));
            assert_eq!(attribute(span, "http.response.body.size"), Some(&3_u64.into()));
            assert_eq!(attribute(span, "tulle.mtls"), Some(&Value::Flag(true)));
            assert_eq!(attribute(span, "tulle.request_id"), Some(&"r-1".into()));
        }
        assert_eq!(attribute(&client, "tulle.route"), Some(&"test".into()));
        assert_eq!(attribute(&client, "tulle.backend"), Some(&"shop/app-0".into()));
        assert_eq!(attribute(&server, "tulle.peer"), Some(&"spiffe://cluster.local/ns/shop/sa/caller".into()));
    }
}

#[tokio::test]
async fn a_callers_trace_is_continued_in_its_own_words() {
    let w3c = format!("00-{TRACE}-{PARENT}-01");
    let b3 = format!("{TRACE}-{PARENT}-1");
    let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", PARENT), ("x-b3-sampled", "1")];
    type Told = fn(&Ended) -> Vec<(&'static str, String)>;
    let rows: [(Vec<(&str, &str)>, Told); 3] = [
        (vec![("traceparent", &w3c), ("tracestate", "other=1")], |server| {
            let parent = format!("00-{TRACE}-{}-01", server.trace.span);
            vec![("traceparent", parent), ("tracestate", "other=1".to_owned())]
        }),
        (vec![("b3", &b3)], |server| {
            let parent = server.trace.parent.unwrap();
            vec![("b3", format!("{TRACE}-{}-1-{parent}", server.trace.span))]
        }),
        (several.to_vec(), |server| {
            vec![
                ("x-b3-traceid", TRACE.to_owned()),
                ("x-b3-spanid", server.trace.span.to_string()),
                ("x-b3-sampled", "1".to_owned()),
            ]
        }),
    ];
    for speaks in BOTH {
        // Nothing is drawn: the caller records.
        let (mut app, mut caller, _mesh, mut ended) = traced(speaks, 0.0, to_app()).await;
        for (sent, told) in &rows {
            caller.send(Method::GET, "/", sent, b"").await;
            let asked = app.asked().await;
            let [client, server] = both(&mut ended).await;
            assert_eq!(client.trace.trace.to_string(), TRACE, "{speaks:?} {sent:?}");
            assert_eq!(client.trace.parent.unwrap().to_string(), PARENT, "{speaks:?} {sent:?}");
            assert_eq!(server.trace.parent, Some(client.trace.span), "{speaks:?} {sent:?}");
            for (name, value) in told(&server) {
                assert_eq!(header(&asked, name), [value], "{speaks:?} {name}");
            }
            let words = sent.iter().any(|(name, _)| *name == "traceparent");
            assert_eq!(!header(&asked, "traceparent").is_empty(), words, "{speaks:?}: no second form");
        }
    }
}

#[tokio::test]
async fn what_is_not_recorded_says_so_and_leaves_no_span() {
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    for speaks in BOTH {
        let (mut app, mut caller, _mesh, mut ended) = traced(speaks, 0.0, to_app()).await;
        caller.get("/").await;
        let told = header(&app.asked().await, "traceparent");
        assert!(told.len() == 1 && told[0].ends_with("-00"), "{speaks:?}: {told:?}");
        // A caller that does not record is not overruled, and its words pass as they are.
        caller.send(Method::GET, "/", &[("traceparent", &unsampled)], b"").await;
        assert_eq!(header(&app.asked().await, "traceparent"), [&*unsampled], "{speaks:?}");
        caller.send(Method::GET, "/", &[("b3", "0")], b"").await;
        assert_eq!(header(&app.asked().await, "b3"), ["0"], "{speaks:?}");
        let recorded = format!("00-{TRACE}-{PARENT}-01");
        caller.send(Method::GET, "/last", &[("traceparent", &recorded)], b"").await;
        for span in both(&mut ended).await {
            assert_eq!(attribute(&span, "url.path"), Some(&"/last".into()), "{speaks:?}: the first span there is");
        }
    }
}

#[tokio::test]
async fn without_a_collector_traces_pass_as_they_came() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    for speaks in BOTH {
        let mut app = Application::start("app", &[]).await;
        let mesh = Mesh::routed(&[app.address], to_app());
        let mut caller = Caller::new(&mesh, speaks).await;
        caller.send(Method::GET, "/", &[("traceparent", &parent), ("b3", "0")], b"").await;
        let asked = app.asked().await;
        assert_eq!((header(&asked, "traceparent"), header(&asked, "b3")), (vec![parent.clone()], vec!["0".to_owned()]));
        caller.get("/").await;
        assert!(header(&app.asked().await, "traceparent").is_empty(), "{speaks:?}");
    }
}

#[tokio::test]
async fn a_rule_has_the_last_word_on_the_headers_of_the_trace() {
    for speaks in BOTH {
        let request = edits(("x-rule", "1"), "traceparent");
        let filters = editing(Edits { request, ..Edits::default() });
        let (_app, mut caller, _mesh, mut ended) = traced(speaks, 100.0, vec![rule("/", Action::to(0), filters)]).await;
        caller.get("/").await;
        let [client, server] = both(&mut ended).await;
        // The second proxy was told nothing of the first one's trace, and begins its own.
        assert_eq!(server.trace.parent, None, "{speaks:?}");
        assert_ne!(server.trace.trace, client.trace.trace, "{speaks:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_span_with_its_reason() {
    for speaks in BOTH {
        let (_app, mut caller, _mesh, mut ended) =
            traced(speaks, 100.0, vec![rule("/only", Action::to(0), Filters::default())]).await;
        assert_eq!(caller.get("/other").await.status(), 404);
        let span = soon(ended.recv()).await.unwrap();
        assert!(span.failed && span.side == Side::Client, "{span:?}");
        assert_eq!(attribute(&span, "error.type"), Some(&"no-route".into()), "{span:?}");
        assert_eq!(attribute(&span, "http.response.status_code"), Some(&404_u64.into()));
    }
}

#[test]
fn a_full_queue_loses_spans_and_counts_them() {
    let (spans, _ended) = Spans::new(Percent::ALL);
    for _ in 0..QUEUE + 3 {
        spans.take(super::export::tests::span("GET"));
    }
    assert_eq!(spans.counts().dropped.load(Ordering::Relaxed), 3);
}
