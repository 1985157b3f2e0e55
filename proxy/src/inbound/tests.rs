use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::h1::testing::End;
use crate::testing::{future_bytes, trusting, wary};

#[test]
fn an_idle_connection_costs_little_memory() {
    // The future of a connection lies in its task for as long as the caller keeps it open.
    let bytes = future_bytes(|worker: &'static Rc<Worker>, stream| connection(worker, stream));
    assert!(bytes <= 4096, "{bytes} bytes");
}

#[tokio::test(flavor = "local")]
async fn a_silent_caller_who_may_not_send_bytes_is_closed_in_the_end_and_counted_unless_it_closes_first() {
    for closes in [true, false] {
        tokio::join!(is_silent(MtlsMode::Strict, closes), is_silent(MtlsMode::Permissive, closes));
    }
}

async fn is_silent(mode: MtlsMode, closes: bool) {
    let (worker, address) = wary(mode);
    let mut caller = TcpStream::connect(address).await.unwrap();
    if closes {
        caller.shutdown().await.unwrap();
    }
    let ended = timeout(2 * HANDSHAKE, caller.read(&mut [0; 1])).await.expect("within the deadline");
    assert_eq!(ended.unwrap(), 0, "{mode:?}");
    assert_eq!(worker.metrics.lock().refusals.len(), usize::from(!closes), "{mode:?}");
    assert_eq!(worker.metrics.detections.get(Side::Server, Detected::Silent), 1, "{mode:?}");
}

#[test]
fn a_hello_is_waited_for_as_long_as_more_of_it_can_be_seen() {
    // Heads of a record of 16 KiB and of a ClientHello in it (RFC 8446 sections 5.1 and 4), TLS 1.2.
    let mut hello = vec![22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3];
    hello.resize(PEEK_BYTES - 1, 7);
    assert!(opening(&hello).is_none());
    hello.push(7);
    assert!(matches!(opening(&hello), Some(Opening::Plain(sniff::Guess::Bytes))));
}

#[tokio::test(flavor = "local")]
async fn a_caller_in_plaintext_who_may_not_call_is_told_once() {
    let (worker, address) = wary(MtlsMode::Strict);
    let mut caller = End::dial(address).await;
    caller.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n".repeat(1000)).await;
    let head = caller.head().await;
    assert!(head.starts_with("HTTP/1.1 403") && head.contains("connection: close\r\n"), "{head}");
    let rest = String::from_utf8(caller.rest().await).unwrap();
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
    let refused: u64 = worker.metrics.lock().refusals.values().map(|count| count.get()).sum();
    assert_eq!(refused, 1);
    assert_eq!(worker.metrics.detections.get(Side::Server, Detected::Http1), 1);
}

#[tokio::test(flavor = "local")]
async fn an_application_dialled_for_bytes_is_let_go_before_http_is_served() {
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (_worker, address) = trusting(server.local_addr().unwrap());
    let mut caller = TcpStream::connect(address).await.unwrap();
    let served = async {
        let mut unused = server.accept().await.unwrap().0;
        caller.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let _used = server.accept().await.unwrap();
        unused.read(&mut [0; 1]).await.unwrap()
    };
    assert_eq!(timeout(2 * HANDSHAKE, served).await.expect("within the deadline"), 0);
}
