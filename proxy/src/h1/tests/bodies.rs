//! Bodies: as they come, however long, and not more at once than the receiver takes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::testing::{End, application, ok, soon};
use crate::testing::Mesh;

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let (told, wait) = tokio::sync::mpsc::channel::<()>(1);
    let wait = std::sync::Arc::new(tokio::sync::Mutex::new(wait));
    let app = application(move |mut end: End| {
        let wait = std::sync::Arc::clone(&wait);
        async move {
            end.head().await;
            end.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
            while wait.lock().await.recv().await.is_some() {
                end.send("data: x\n\n").await;
            }
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("GET /events HTTP/1.1\r\nHost: web\r\n\r\n").await;
    // The head does not wait for the first event.
    assert!(caller.head().await.contains("transfer-encoding: chunked"));
    for _ in 0..20 {
        told.send(()).await.unwrap();
        caller.expect("9\r\ndata: x\n\n\r\n").await;
    }
    drop(told);
    caller.expect("0\r\n\r\n").await;
}

#[tokio::test]
async fn trailers_travel_in_both_directions() {
    let app = application(|mut end: End| async move {
        let head = end.head().await;
        assert!(head.contains("te: trailers\r\nconnection: te\r\n"), "{head}");
        assert_eq!(end.chunked().await, ("abc".to_owned(), "Checksum: 1\r\n".to_owned()));
        end.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: y\r\n\r\n").await;
        end.send("1\r\nx\r\n0\r\ny: 2\r\nauthorization: z\r\n\r\n").await;
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller
        .send("POST / HTTP/1.1\r\nHost: web\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    caller.send("3\r\nabc\r\n0\r\nChecksum: 1\r\n\r\n").await;
    assert!(caller.head().await.contains("trailer: y"));
    caller.expect("1\r\nx\r\n0\r\ny: 2\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_its_request_arrives_whole() {
    let app = application(|mut end: End| async move {
        end.head().await;
        end.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlarge").await;
        // As servers do that care for their answer.
        end.stream.shutdown().await.unwrap();
        end.rest().await;
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send(format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {}\r\n\r\n", 1 << 30)).await;
    let (mut from, mut to) = caller.stream.split();
    let sending = async {
        // Until nobody takes it any more.
        while to.write_all(&[b'x'; 64 * 1024]).await.is_ok() {}
    };
    let reading = async {
        let mut answer = [0; 200];
        let mut length = 0;
        while !answer[..length].ends_with(b"large") {
            let count = from.read(&mut answer[length..]).await.unwrap();
            assert!(count > 0, "ended after {:?}", String::from_utf8_lossy(&answer[..length]));
            length += count;
        }
        String::from_utf8(answer[..length].to_vec()).unwrap()
    };
    let answer = tokio::select! {
        answer = soon(reading) => answer,
        () = async { sending.await; std::future::pending().await } => unreachable!(),
    };
    assert!(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{answer}");
}

/// Bytes of a body that nobody could hold.
const HUGE: u64 = 1 << 40;
/// What the kernel's buffers of three connections hold and more: much of it is the far ends' own.
const HELD_MAX: u64 = 48 << 20;

/// Writes until nothing was taken for a while; how much was.
async fn write_until_it_stalls(stream: &mut TcpStream) -> u64 {
    let block = [b'x'; 64 * 1024];
    let mut written = 0;
    while let Ok(count) = tokio::time::timeout(std::time::Duration::from_millis(500), stream.write(&block)).await {
        written += count.expect("open") as u64;
        assert!(written < 4 * HELD_MAX, "nobody reads, and {written} bytes were taken");
    }
    written
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_sender() {
    let (report, mut reported) = tokio::sync::mpsc::channel(1);
    let app = application(move |mut end: End| {
        let report = report.clone();
        async move {
            end.head().await;
            end.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n")).await;
            let held = write_until_it_stalls(&mut end.stream).await;
            // It goes on: an answer that breaks off may lose what was under way.
            report.send((held, end)).await.unwrap();
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await;
    let (held, _end) = soon(reported.recv()).await.unwrap();
    assert!(held < HELD_MAX, "{held} bytes are under way");
    // The way is free again when it is read; nothing was lost.
    caller.head().await;
    caller.bytes(held.try_into().unwrap()).await;
}

#[tokio::test]
async fn an_application_that_does_not_read_stops_the_caller() {
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let wait = std::sync::Arc::new(tokio::sync::Mutex::new(Some(wait)));
    let app = application(move |mut end: End| {
        let wait = std::sync::Arc::clone(&wait);
        async move {
            end.head().await;
            wait.lock().await.take().expect("one connection").await.unwrap();
            end.send(ok("")).await;
        }
    });
    let mesh = Mesh::new(&[app.await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send(format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: {HUGE}\r\n\r\n")).await;
    let held = write_until_it_stalls(&mut caller.stream).await;
    assert!(held < HELD_MAX, "{held} bytes are under way");
    go.send(()).unwrap();
    assert!(caller.head().await.starts_with("HTTP/1.1 200"));
}
