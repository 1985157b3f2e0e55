//! The whole path over real sockets: a caller, two proxies with mutual TLS between them, applications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response, StatusCode};
use tokio::sync::{Notify, mpsc};
use tulle_core::authz::PolicySet;
use tulle_core::retry::{RetryOn, RetryPolicy};
use tulle_core::route::{Balance, RouteTable, TrafficPolicy};

use super::testing::{
    Caller, application, dying_application, echo, ok, raw_answer, read, read_exactly, room, soon, trailers, write,
};
use crate::testing::{CALLEE, Mesh, Rules, called, snapshot};

const MIB: usize = 1 << 20;

fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8).collect()
}

fn retry(attempts: u32, on: &str) -> Option<Rules> {
    let retry = RetryPolicy { attempts, on: RetryOn::parse(on).unwrap(), ..RetryPolicy::default() };
    Some(Rules { timeout: None, retry: Some(retry) })
}

#[tokio::test]
async fn a_unary_call_and_each_kind_of_stream_arrive_with_their_trailers() {
    let mesh = Mesh::new(&[application(echo).await], None);
    let mut caller = Caller::new(mesh.service).await;
    // Unary, and without any message.
    for body in [pattern(10), pattern(100_000), Bytes::new()] {
        let answer = caller.unary(&body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        assert_eq!(answer.body().body, body);
        assert_eq!(answer.body().trailers.as_ref().unwrap()["grpc-status"], "0");
    }
    // Both sides in turn, while the request is open.
    let (answer, mut to) = caller.call().await;
    let mut from = soon(answer).await.unwrap().into_body();
    for turn in 0..100 {
        write(&mut to, &pattern(turn + 1), false).await.unwrap();
        assert_eq!(read_exactly(&mut from, turn + 1).await, pattern(turn + 1));
    }
    // A request may have trailers too, but none that belong into its head.
    let sent = [("x-last", "1"), ("authorization", "a"), ("cookie", "b"), ("content-length", "9")];
    to.send_trailers(sent.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect())
        .unwrap();
    let trailers = read(from).await.unwrap().trailers.unwrap();
    assert_eq!(trailers["x-last"], "1");
    assert!(!sent[1..].iter().any(|(name, _)| trailers.contains_key(*name)), "{trailers:?}");
    // Many messages before the first is read, as client and server streaming do.
    let (answer, mut to) = caller.call().await;
    for _ in 0..50 {
        write(&mut to, &pattern(1000), false).await.unwrap();
    }
    write(&mut to, &Bytes::new(), true).await.unwrap();
    assert_eq!(read(soon(answer).await.unwrap().into_body()).await.unwrap().body.len(), 50_000);
}

#[tokio::test]
async fn calls_on_one_connection_do_not_disturb_each_other() {
    let mesh = Mesh::new(&[application(echo).await, application(echo).await], None);
    let caller = Caller::new(mesh.service).await;
    let calls = (0..300).map(|index| {
        let mut caller = Caller { sender: caller.sender.clone(), connection: tokio::spawn(async { Ok(()) }) };
        tokio::spawn(
            async move { assert_eq!(caller.unary(&pattern(index * 37)).await.body().body, pattern(index * 37)) },
        )
    });
    for call in calls.collect::<Vec<_>>() {
        soon(call).await.unwrap();
    }
}

/// h2 counts the overhead of small frames that nobody reads, and these are too many for it; a slow reader is no attack.
#[tokio::test]
async fn twenty_thousand_tiny_messages_wait_for_a_slow_reader() {
    let (sent, mut all_sent) = mpsc::unbounded_channel();
    let app = application(move |_, mut respond| {
        let sent = sent.clone();
        async move {
            let mut to = respond.send_response(ok(), false).unwrap();
            for index in 0..20_000u32 {
                write(&mut to, &Bytes::copy_from_slice(&index.to_be_bytes()), false).await.unwrap();
            }
            sent.send(()).unwrap();
            to.send_trailers(trailers()).unwrap();
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = Caller::with_window(mesh.service, 1000).await;
    let (answer, mut to) = caller.call().await;
    to.send_data(Bytes::new(), true).unwrap();
    let from = soon(answer).await.unwrap().into_body();
    soon(all_sent.recv()).await.unwrap();
    let message = read(from).await.unwrap();
    let expected: Vec<u8> = (0..20_000u32).flat_map(u32::to_be_bytes).collect();
    assert_eq!((message.body, message.trailers.is_some()), (expected, true));
}

/// Writes until no room comes for a while; the bytes written.
async fn write_until_stalled(to: &mut h2::SendStream<Bytes>, limit: usize) -> usize {
    let mut written = 0;
    while written < limit {
        let Ok(room) = tokio::time::timeout(Duration::from_millis(500), room(to, limit - written)).await else { break };
        let chunk = pattern(room.unwrap().min(limit - written));
        written += chunk.len();
        to.send_data(chunk, false).unwrap();
    }
    written
}

/// What may be under way: two windows of a proxy, and what waits to be written on three hops.
const UNDER_WAY_MAX: usize = 3 * MIB;

#[tokio::test]
async fn a_reader_that_stops_stops_the_sender_in_either_direction() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let (written, mut stalled) = mpsc::unbounded_channel();
    let app = application(move |request, mut respond| {
        let (mut wait, written) = (wait.clone(), written.clone());
        async move {
            let mut to = respond.send_response(ok(), false).unwrap();
            written.send(write_until_stalled(&mut to, 5 * MIB).await).unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            let message = read(request.into_body()).await.unwrap();
            write(&mut to, &message.body.into(), true).await.unwrap();
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = Caller::new(mesh.service).await;
    let (answer, mut to) = caller.call().await;
    let from = soon(answer).await.unwrap().into_body();
    let up = write_until_stalled(&mut to, 5 * MIB).await;
    let down = soon(stalled.recv()).await.unwrap();
    assert!(up < UNDER_WAY_MAX && down < UNDER_WAY_MAX, "{up} and {down} bytes");
    go.send(true).unwrap();
    let reading = tokio::spawn(read(from));
    write(&mut to, &pattern(5 * MIB), true).await.unwrap();
    let message = soon(reading).await.unwrap().unwrap();
    assert_eq!(message.body.len(), down + up + 5 * MIB);
    assert!(message.body.ends_with(&pattern(5 * MIB)));
}

/// How an application saw a call end.
async fn ending(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    early: bool,
) -> Option<Reason> {
    let _to = early.then(|| respond.send_response(ok(), false).unwrap());
    read(request.into_body()).await.err().and_then(|error| error.reason())
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_call() {
    for early in [false, true] {
        let (ended, mut endings) = mpsc::unbounded_channel();
        let (begun, mut beginnings) = mpsc::unbounded_channel();
        let app = application(move |request, respond| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                begun.send(()).unwrap();
                ended.send(ending(request, respond, early).await).unwrap();
            }
        });
        let mesh = Mesh::new(&[app.await], None);
        let mut caller = Caller::new(mesh.service).await;
        let (_answer, mut to) = caller.call().await;
        soon(beginnings.recv()).await.unwrap();
        to.send_reset(Reason::NO_ERROR);
        assert_eq!(soon(endings.recv()).await.unwrap(), Some(Reason::CANCEL), "reset, early {early}");
        let (_answer, _to) = caller.call().await;
        soon(beginnings.recv()).await.unwrap();
        caller.connection.abort();
        assert_eq!(soon(endings.recv()).await.unwrap(), Some(Reason::CANCEL), "gone, early {early}");
    }
}

#[tokio::test]
async fn a_reset_of_the_application_reaches_the_caller_with_its_reason() {
    for reason in [Reason::INTERNAL_ERROR, Reason::ENHANCE_YOUR_CALM, Reason::CANCEL] {
        for early in [false, true] {
            let app = application(move |_, mut respond| async move {
                if early {
                    let mut to = respond.send_response(ok(), false).unwrap();
                    write(&mut to, &pattern(10), false).await.unwrap();
                }
                respond.send_reset(reason);
            });
            let mesh = Mesh::new(&[app.await], None);
            let mut caller = Caller::new(mesh.service).await;
            let (answer, _to) = caller.call().await;
            let error = match soon(answer).await {
                Ok(answer) => read(answer.into_body()).await.unwrap_err(),
                Err(error) => error,
            };
            assert!(error.is_reset() && error.reason() == Some(reason), "{error}, early {early}");
        }
    }
}

#[tokio::test]
async fn a_refused_stream_goes_to_another_endpoint() {
    let refusals = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refusals);
    let refuses = application(move |_, mut respond| {
        count.fetch_add(1, SeqCst);
        async move { respond.send_reset(Reason::REFUSED_STREAM) }
    });
    // By turns: an endpoint that a busy machine lets fail once would otherwise not be asked again for a while.
    let policy = TrafficPolicy { balance: Balance::RoundRobin, ..TrafficPolicy::default() };
    let applications = [refuses.await, application(echo).await];
    let mesh = Mesh::in_world(&applications, PolicySet::default(), |service, endpoints| {
        snapshot(service, RouteTable::default(), called(service, endpoints, CALLEE, policy))
    });
    let mut caller = Caller::new(mesh.service).await;
    for _ in 0..20 {
        assert_eq!(caller.unary(&pattern(1000)).await.body().body, pattern(1000));
    }
    assert!(refusals.load(SeqCst) > 0, "nothing was refused");
}

#[tokio::test]
async fn a_connection_that_leaves_is_not_used_again() {
    let app = {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        connection.graceful_shutdown();
                        tokio::spawn(echo(request, respond));
                    }
                });
            }
        });
        address
    };
    let mesh = Mesh::new(&[app], None);
    let mut caller = Caller::new(mesh.service).await;
    for _ in 0..50 {
        assert_eq!(caller.unary(&pattern(10)).await.body().body, pattern(10));
    }
}

#[tokio::test]
async fn a_retry_repeats_the_body_where_all_of_it_is_kept() {
    const WARM: &[u8] = b"warm";
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let app = application(move |request, mut respond| {
        let count = Arc::clone(&count);
        async move {
            let message = read(request.into_body()).await.unwrap().body;
            if message != WARM && count.fetch_add(1, SeqCst).is_multiple_of(2) {
                respond.send_response(Response::builder().status(503).body(()).unwrap(), true).unwrap();
                return;
            }
            let mut to = respond.send_response(ok(), false).unwrap();
            write(&mut to, &message.into(), true).await.unwrap();
        }
    });
    let mesh = Mesh::new(&[app.await], retry(1, "5xx"));
    let mut caller = Caller::new(mesh.service).await;
    // A handshake that takes a busy machine too long would be what is repeated.
    while caller.unary(&Bytes::from_static(WARM)).await.body().body != WARM {}
    let answer = caller.unary(&pattern(60_000)).await;
    assert_eq!((answer.status(), &answer.body().body[..]), (StatusCode::OK, &pattern(60_000)[..]));
    assert_eq!(calls.load(SeqCst), 2);
    assert_eq!(caller.unary(&pattern(70_000)).await.status(), StatusCode::SERVICE_UNAVAILABLE, "too long to be kept");
    assert_eq!(calls.load(SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_grpc_status() {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let app = application(move |request, respond| {
        let ended = ended.clone();
        async move { ended.send(ending(request, respond, false).await).unwrap() }
    });
    let rules = Rules { timeout: Some(Duration::from_millis(100)), retry: None };
    let mesh = Mesh::new(&[app.await], Some(rules));
    let mut caller = Caller::new(mesh.service).await;
    let ending = soon(async {
        // On a busy machine the time may pass before the application has the request.
        loop {
            let (answer, _to) = caller.call().await;
            let answer = answer.await.unwrap();
            assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"4".parse().unwrap()));
            assert!(answer.headers()["tulle-error"].to_str().unwrap().starts_with("timeout; "));
            if let Ok(ending) = tokio::time::timeout(Duration::from_secs(1), endings.recv()).await {
                break ending;
            }
        }
    });
    assert_eq!(ending.await.unwrap(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn an_application_that_cannot_be_reached_is_a_grpc_status() {
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let mesh = Mesh::new(&[nobody], None);
    let answer = Caller::new(mesh.service).await.unary(&pattern(10)).await;
    assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"14".parse().unwrap()));
    assert!(!answer.headers().contains_key("tulle-unprocessed"), "between proxies only");
}

#[tokio::test]
async fn an_answer_may_end_before_its_request() {
    let app = application(|_, mut respond| async move {
        let mut to = respond.send_response(ok(), false).unwrap();
        write(&mut to, &pattern(100), true).await.unwrap();
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = Caller::new(mesh.service).await;
    let (answer, mut to) = caller.call().await;
    write(&mut to, &pattern(10), false).await.unwrap();
    let message = read(soon(answer).await.unwrap().into_body()).await.unwrap();
    assert_eq!(message.body, pattern(100));
    let reset = soon(std::future::poll_fn(|cx| to.poll_reset(cx))).await.unwrap();
    assert_eq!(reset, Reason::NO_ERROR, "the rest is not wanted");
}

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let app = application(|_, mut respond| async move {
        respond.send_informational(Response::builder().status(103).header("link", "x").body(()).unwrap()).unwrap();
        respond.send_response(ok(), true).unwrap();
    });
    let mesh = Mesh::new(&[app.await], None);
    let (mut answer, _to) = Caller::new(mesh.service).await.call().await;
    let interim = soon(std::future::poll_fn(|cx| answer.poll_informational(cx))).await.unwrap().unwrap();
    assert_eq!((interim.status().as_u16(), &interim.headers()["link"]), (103, &"x".parse().unwrap()));
    assert_eq!(soon(answer).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let app = application(|_, mut respond| async move {
        for _ in 0..300 {
            let _ = respond.send_informational(Response::builder().status(102).body(()).unwrap());
        }
        let _ = respond.send_response(ok(), true);
    });
    let mesh = Mesh::new(&[app.await], None);
    let (mut answer, _to) = Caller::new(mesh.service).await.call().await;
    let mut interim = 0;
    while let Some(Ok(_)) = soon(std::future::poll_fn(|cx| answer.poll_informational(cx))).await {
        interim += 1;
    }
    assert_eq!(interim, 128);
    assert_eq!(soon(answer).await.unwrap().headers()["grpc-status"], "14");
}

#[tokio::test]
async fn what_belongs_to_one_connection_and_tunnels_are_refused() {
    let mesh = Mesh::new(&[application(echo).await], None);
    let mut caller = Caller::new(mesh.service).await;
    let request = Request::connect("http://web.shop:80").body(()).unwrap();
    let (answer, _to) = caller.send(request, false).await;
    assert_eq!(soon(answer).await.unwrap().status(), StatusCode::BAD_REQUEST);
    // Why nothing removes such fields: h2 ends their streams with PROTOCOL_ERROR (3: RST_STREAM, 1: the code).
    for (name, value) in [
        ("connection", "x"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        let frames = raw_answer(mesh.service, name, value).await;
        assert_eq!(frames.last(), Some(&(3, vec![0, 0, 0, 1])), "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_leaves_finishes_what_is_open() {
    let mesh = Mesh::new(&[application(echo).await], None);
    let mut caller = Caller::new(mesh.service).await;
    let (answer, mut to) = caller.call().await;
    let mut from = soon(answer).await.unwrap().into_body();
    mesh.caller.shared.drain.start();
    for callee in &mesh.callees {
        callee.shared.drain.start();
    }
    // h2 opens no stream after a GOAWAY; until then its handle stays ready.
    soon(async {
        while caller.sender.clone().ready().await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
    write(&mut to, &pattern(1000), false).await.unwrap();
    assert_eq!(read_exactly(&mut from, 1000).await, pattern(1000));
    write(&mut to, &pattern(1000), true).await.unwrap();
    assert_eq!(read(from).await.unwrap().body, pattern(1000));
    soon(caller.connection).await.unwrap().unwrap();
    soon(async {
        while mesh.caller.shared.drain.open_connections() > 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    let series = mesh.caller.metrics.lock();
    assert_eq!(series.http.values().map(|cells| (cells.active.get(), cells.aborts().count())).max(), Some((0, 0)));
}

/// Without a mesh the caller's own connection would be lost, which its library calls unavailable.
#[tokio::test]
async fn a_grpc_answer_that_loses_its_connection_ends_with_a_status() {
    let die = Arc::new(Notify::new());
    let mesh = Mesh::new(&[dying_application(b"one", Arc::clone(&die)).await], None);
    let mut caller = Caller::new(mesh.service).await;
    let (answer, _to) = caller.call().await;
    let mut from = soon(answer).await.unwrap().into_body();
    assert_eq!(read_exactly(&mut from, 3).await, b"one");
    die.notify_one();
    let trailers = read(from).await.unwrap().trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert!(trailers["tulle-error"].to_str().unwrap().starts_with("upstream-reset; code=TUL2007; id="));
    assert!(!trailers.contains_key("content-type"));
}

#[tokio::test]
async fn the_callers_own_deadline_is_kept() {
    let app = application(|request, respond| async move {
        assert_eq!(request.headers()["grpc-timeout"], "50m");
        std::future::pending::<()>().await;
        drop(respond);
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = Caller::new(mesh.service).await;
    let request = Request::post("http://web.shop/echo.Echo/Call")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "50m");
    let (answer, _to) = caller.send(request.body(()).unwrap(), true).await;
    assert_eq!(soon(answer).await.unwrap().headers()["grpc-status"], "4");
}

/// Some libraries send one for each flush; h2 ends a connection after 100 of them.
#[tokio::test]
async fn empty_frames_between_messages_are_of_no_consequence() {
    let mesh = Mesh::new(&[application(echo).await], None);
    let mut caller = Caller::new(mesh.service).await;
    let (answer, mut to) = caller.call().await;
    let mut from = soon(answer).await.unwrap().into_body();
    for turn in 0..1000u32 {
        to.send_data(Bytes::new(), false).unwrap();
        write(&mut to, &Bytes::copy_from_slice(&turn.to_be_bytes()), false).await.unwrap();
        assert_eq!(read_exactly(&mut from, 4).await, turn.to_be_bytes());
    }
}
