//! The exporter against collectors of real sockets: one that takes everything, and each kind that does not.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::SystemTime;

use http::Response as Answer;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tulle_core::name::Namespace;
use tulle_core::route::filter::percent::Percent;

use super::otlp::{Any, PartialSuccess};
use super::*;
use crate::metrics::Side;
use crate::spans::Value;
use crate::testing::http::soon;
use crate::testing::view;

/// A span of one second.
pub(in crate::spans) fn span(name: &str) -> Ended {
    let (spans, _) = Spans::new(Percent::ALL);
    let request = view::Request { path: "/", headers: Vec::new() };
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Ended {
        trace: spans.join(&request, || 7).unwrap(),
        side: Side::Client,
        name: name.to_owned(),
        began,
        ended: began + Duration::from_secs(1),
        attributes: vec![("a", "b".into()), ("n", Value::Number(5)), ("f", Value::Flag(true))],
        failed: true,
    }
}

/// Requests a collector got: path, content type, body.
type Got = Arc<Mutex<Vec<(String, String, Bytes)>>>;

/// A collector that answers its requests one after the other with these statuses and bodies, and the last one for ever.
async fn collector(answers: Vec<(u16, Vec<u8>)>) -> (Uri, Got) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap()).parse().unwrap();
    let got = Got::default();
    let into = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|request: Request<Incoming>| {
                let (into, answers) = (Arc::clone(&into), &answers);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let kind = head.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
                    let mut got = into.lock().unwrap();
                    let (status, answer) = answers.get(got.len()).or(answers.last()).unwrap().clone();
                    got.push((head.uri.path().to_owned(), kind, body));
                    Ok::<_, Infallible>(Answer::builder().status(status).body(Full::new(Bytes::from(answer))).unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        }
    });
    (endpoint, got)
}

/// A running exporter.
struct Running {
    spans: Arc<Spans>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(endpoint: Uri) -> Running {
        let pod = Pod {
            name: "web-7".to_owned(),
            namespace: Namespace::new("shop"),
            ips: Vec::new(),
            service_account: "web".to_owned(),
            workload: Some("deployment/web".to_owned()),
        };
        let (spans, queue) = Spans::new(Percent::ALL);
        let exporter = Exporter::new(Arc::clone(&spans), queue, endpoint, &pod);
        let stop = CancellationToken::new();
        let task = tokio::spawn(exporter.run(stop.clone()));
        Running { spans, stop, task }
    }

    /// Exported and dropped, once they add up to this many.
    async fn counted(&self, sum: u64) -> (u64, u64) {
        let counts = self.spans.counts();
        soon(async {
            loop {
                let now = (counts.exported.load(Ordering::Relaxed), counts.dropped.load(Ordering::Relaxed));
                if now.0 + now.1 >= sum {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

#[tokio::test]
async fn a_collector_gets_what_was_recorded() {
    let (endpoint, got) = collector(vec![(200, Vec::new())]).await;
    let running = Running::start(endpoint);
    for name in ["one", "two"] {
        running.spans.take(span(name));
    }
    assert_eq!(running.counted(2).await, (2, 0));
    let got = got.lock().unwrap();
    let [(path, kind, body)] = &got[..] else { panic!("one batch: {got:?}") };
    assert_eq!((&**path, &**kind), ("/v1/traces", "application/x-protobuf"));
    let request = otlp::Request::decode(body.clone()).unwrap();
    let [of_pod] = &request.resource_spans[..] else { panic!("{request:?}") };
    let text = |value: &otlp::AnyValue| match &value.value {
        Some(Any::Text(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    let resource: Vec<_> = of_pod.resource.as_ref().unwrap().attributes.iter().collect();
    let resource: Vec<_> = resource.iter().map(|it| (&*it.key, text(it.value.as_ref().unwrap()))).collect();
    assert!(resource.contains(&("service.name", "web".to_owned())), "{resource:?}");
    assert!(resource.contains(&("k8s.pod.name", "web-7".to_owned())), "{resource:?}");
    let spans = &of_pod.scope_spans[0].spans;
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((spans[0].trace_id.len(), spans[0].span_id.len(), spans[0].parent_span_id.len()), (16, 8, 0));
    assert_eq!(spans[0].end_time_unix_nano - spans[0].start_time_unix_nano, 1_000_000_000);
    assert_eq!((spans[0].kind, spans[0].status.as_ref().unwrap().code), (3, 2), "CLIENT, ERROR");
}

#[tokio::test]
async fn what_is_left_is_sent_before_the_proxy_leaves() {
    let (endpoint, got) = collector(vec![(200, Vec::new())]).await;
    let running = Running::start(endpoint);
    running.spans.take(span("last"));
    running.stop.cancel();
    soon(running.task).await.unwrap();
    assert_eq!((running.spans.counts().exported.load(Ordering::Relaxed), got.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_refusal_that_passes_is_tried_once_more() {
    for (answers, requests, counted) in [
        (vec![(503, Vec::new()), (200, Vec::new())], 2, (1, 0)),
        (vec![(503, Vec::new())], 2, (0, 1)),
        (vec![(400, b"no".to_vec())], 1, (0, 1)),
    ] {
        let (endpoint, got) = collector(answers.clone()).await;
        let running = Running::start(endpoint);
        running.spans.take(span("x"));
        assert_eq!(running.counted(1).await, counted, "{answers:?}");
        assert_eq!(got.lock().unwrap().len(), requests, "{answers:?}");
    }
}

#[tokio::test]
async fn what_a_collector_leaves_out_is_counted_as_dropped() {
    let part = PartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() };
    let answer = Response { partial_success: Some(part) }.encode_to_vec();
    let (endpoint, _) = collector(vec![(200, answer)]).await;
    let running = Running::start(endpoint);
    for name in ["one", "two", "three"] {
        running.spans.take(span(name));
    }
    assert_eq!(running.counted(3).await, (2, 1));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_its_spans_and_no_more() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let running = Running::start(format!("http://{nobody}/v1/traces").parse().unwrap());
    running.spans.take(span("lost"));
    assert_eq!(running.counted(1).await, (0, 1));
    running.stop.cancel();
    soon(running.task).await.unwrap();
}
