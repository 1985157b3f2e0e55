//! One request after the other: order, persistence, interim and empty answers, and what is refused.

use super::super::testing::{End, application, echo_paths, ok, path};
use crate::testing::Mesh;

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let app = application(|mut end: End| async move {
        while let Some(head) = end.next_head().await {
            let body = match path(&head) {
                "/2" => String::from_utf8(end.bytes(5).await).unwrap(),
                "/3" => end.chunked().await.0,
                _ => String::new(),
            };
            end.send(ok(&format!("{} {body}", path(&head)))).await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    let requests = [
        "GET /1 HTTP/1.1\r\nHost: web\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello",
        "\r\nPOST /3 HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n",
        "GET /5 HTTP/1.1\r\nHost: web\r\n\r\n",
    ];
    caller.send(requests.concat()).await;
    for answer in ["/1 ", "/2 hello", "/3 abc"] {
        caller.expect(&ok(answer)).await;
    }
    caller.expect("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n/4 ").await;
    assert!(caller.rest().await.is_empty(), "what follows close is not served");
}

#[tokio::test]
async fn interim_answers_are_passed_on_as_they_come() {
    let app = application(|mut end: End| async move {
        let head = end.head().await;
        end.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n").await;
        if head.to_lowercase().contains("expect: 100-continue") {
            end.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let body = end.bytes(5).await;
        end.send(ok(&String::from_utf8(body).unwrap())).await;
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    caller.expect("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n").await;
    caller.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    caller.send("hello").await;
    caller.expect(&ok("hello")).await;
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let app = application(|mut end: End| async move {
        end.head().await;
        for _ in 0..300 {
            end.send("HTTP/1.1 102 Processing\r\n\r\n").await;
        }
        end.send(ok("late")).await;
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    let mut interim = 0;
    let last = loop {
        match caller.head().await {
            head if head.starts_with("HTTP/1.1 102 ") => interim += 1,
            head => break head,
        }
    };
    assert!(last.starts_with("HTTP/1.1 502 "), "{last}");
    assert_eq!(interim, 128);
}

#[tokio::test]
async fn callers_of_http_1_0_get_no_interim_answers_and_no_chunks() {
    let app = application(|mut end: End| async move {
        while let Some(head) = end.next_head().await {
            assert!(head.starts_with("GET / HTTP/1.1\r\nhost: 127.0.0.10:"), "{head}");
            end.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            end.send("3\r\nabc\r\n0\r\nchecksum: 1\r\n\r\n").await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let answer = caller.rest().await;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
}

#[tokio::test]
async fn answers_without_body_leave_the_connection_in_step() {
    let app = application(|mut end: End| async move {
        while let Some(head) = end.next_head().await {
            let answer = match path(&head) {
                "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast",
            };
            end.send(answer).await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    let host = "HTTP/1.1\r\nHost: web\r\n\r\n";
    caller.send(format!("HEAD /head {host}GET /204 {host}GET /304 {host}OPTIONS * {host}")).await;
    caller.expect("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
    caller.expect("HTTP/1.1 204 No Content\r\n\r\n").await;
    caller.expect("HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n").await;
    caller.expect(&ok("last")).await;
}

#[tokio::test]
async fn a_caller_that_has_finished_sending_still_gets_its_answer() {
    let (told, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = std::sync::Arc::new(tokio::sync::Mutex::new(Some(wait)));
    let app = application(move |mut end: End| {
        let wait = std::sync::Arc::clone(&wait);
        async move {
            end.head().await;
            wait.lock().await.take().expect("one connection").await.unwrap();
            end.send(ok("late")).await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    tokio::io::AsyncWriteExt::shutdown(&mut caller.stream).await.unwrap();
    told.send(()).unwrap();
    assert_eq!(String::from_utf8(caller.rest().await).unwrap(), ok("late"));
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let mesh = Mesh::new(&[nobody], None);
    let mut caller = End::dial(mesh.service).await;
    for _ in 0..2 {
        caller.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\n").await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 503") && !head.contains("close"), "{head}");
        // The connection stays in step when the body comes after all.
        caller.send("hello").await;
    }
    caller.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let head = caller.head().await;
    // What the caller sends next, the body or another request, nobody can know.
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("connection: close"), "{head}");
    assert!(caller.rest().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_behind_it_is_served() {
    let mesh = Mesh::new(&[application(echo_paths).await], None);
    let long = format!("GET / HTTP/1.1\r\nHost: web\r\nx: {}", "a".repeat(80 * 1024));
    let rows = [
        ("GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nHost: web\r\n\r\n", "400 Bad Request", "bad-request; code=TUL2006"),
        ("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: +5\r\n\r\n", "400 Bad Request", "bad-request; code=TUL2006"),
        (
            "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nGET /2",
            "400 Bad Request",
            "bad-request; code=TUL2006",
        ),
        (&long, "431 Request Header Fields Too Large", "head-too-large; code=TUL2011"),
    ];
    for (request, status, error) in rows {
        let mut caller = End::dial(mesh.service).await;
        caller.send(request).await;
        let head = caller.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains(error) && head.contains("connection: close"), "{head}");
        assert!(caller.rest().await.is_empty());
    }
}

#[tokio::test]
async fn what_follows_an_answer_unasked_reaches_nobody() {
    // Every other answer has another one behind it. One that comes later than its connection is used again could not be told from the
    // answer to that request, by anybody.
    let app = application(|mut end: End| async move {
        for n in 0.. {
            let Some(head) = end.next_head().await else { return };
            let surplus = if n % 2 == 1 { ok("surplus") } else { String::new() };
            end.send(ok(path(&head)) + &surplus).await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let callers = (0..4).map(|caller| {
        let service = mesh.service;
        tokio::spawn(async move {
            let mut end = End::dial(service).await;
            for n in 0..200 {
                let tag = format!("/{caller}/{n}");
                end.send(format!("GET {tag} HTTP/1.1\r\nHost: web\r\n\r\n")).await;
                let head = end.head().await;
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
                let body = end.bytes(length.parse().unwrap()).await;
                assert_eq!(String::from_utf8_lossy(&body), tag);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}
