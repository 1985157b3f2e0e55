use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::metrics::Side;
use crate::metrics::detection::Detected;
use crate::outbound::FIRST_BYTE;
use crate::testing::undeclared;
use crate::worker::Worker;

const GREETING: &[u8] = b"220 mail ESMTP\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n";

/// A server behind a caller's proxy, at an undeclared port.
struct Bench {
    server: TcpListener,
    worker: Rc<Worker>,
    dialled: SocketAddr,
}

impl Bench {
    async fn new() -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (worker, dialled) = undeclared(server.local_addr().unwrap());
        Self { server, worker, dialled }
    }

    async fn call(&self) -> TcpStream {
        TcpStream::connect(self.dialled).await.unwrap()
    }

    async fn accept(&self) -> TcpStream {
        soon(self.server.accept()).await.unwrap().0
    }

    /// A client that is silent, and a server that is not. How long the greeting took.
    async fn greet(&self) -> Duration {
        let begun = Instant::now();
        let mut client = self.call().await;
        self.accept().await.write_all(GREETING).await.unwrap();
        let mut greeting = [0; GREETING.len()];
        soon(client.read_exact(&mut greeting)).await.unwrap();
        assert_eq!(greeting, GREETING);
        begun.elapsed()
    }

    /// What was found, in the order it is written in.
    fn detected(&self) -> Vec<(Detected, u64)> {
        let counts = Detected::ALL.map(|found| (found, self.worker.metrics.detections.get(Side::Client, found)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn is_remembered(&self) -> bool {
        self.worker.greeters.contains(self.dialled)
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within the deadline")
}

#[tokio::test(flavor = "local")]
async fn a_server_that_spoke_first_is_dialled_at_once_from_then_on() {
    let bench = Bench::new().await;
    assert!(bench.greet().await >= FIRST_BYTE);
    assert!(bench.is_remembered());
    // The quickest: a busy machine delays some, the wait would delay all.
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        quickest = quickest.min(bench.greet().await);
    }
    assert!(quickest < FIRST_BYTE, "{quickest:?}");
    assert_eq!(bench.detected(), [(Detected::ServerFirst, 21)]);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_speaks_http_before_the_server_does_is_served_http_and_the_server_forgotten() {
    let bench = Bench::new().await;
    bench.greet().await;
    let mut client = bench.call().await;
    let mut unused = bench.accept().await;
    client.write_all(GET).await.unwrap();
    let mut used = bench.accept().await;
    assert_eq!(soon(unused.read(&mut [0; 1])).await.unwrap(), 0);
    let mut request = [0; 6];
    soon(used.read_exact(&mut request)).await.unwrap();
    assert_eq!(&request, b"GET / ");
    used.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    soon(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    assert!(!bench.is_remembered());
    assert_eq!(bench.detected(), [(Detected::Http1, 1), (Detected::ServerFirst, 1)]);
}

#[tokio::test(flavor = "local")]
async fn a_client_that_speaks_bytes_before_the_server_does_gets_its_connection() {
    let bench = Bench::new().await;
    bench.greet().await;
    let mut client = bench.call().await;
    let mut server = bench.accept().await;
    client.write_all(b"PING\r\n").await.unwrap();
    let mut request = [0; 6];
    soon(server.read_exact(&mut request)).await.unwrap();
    assert_eq!(&request, b"PING\r\n");
    assert_eq!(bench.detected(), [(Detected::Bytes, 1), (Detected::ServerFirst, 1)]);
}

#[tokio::test(flavor = "local")]
async fn a_server_whose_first_words_are_http2_makes_no_connection_of_bytes() {
    let bench = Bench::new().await;
    let client = bench.call().await;
    let mut server = bench.accept().await;
    server.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64").await.unwrap();
    assert_eq!(soon(server.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(client.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    assert!(!bench.is_remembered());
    assert_eq!(bench.detected(), [(Detected::Http2, 1)]);
}

#[tokio::test(flavor = "local")]
async fn a_last_answer_to_nothing_is_passed_on_and_not_remembered() {
    let bench = Bench::new().await;
    let mut client = bench.call().await;
    bench.accept().await.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    soon(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(!bench.is_remembered());
    assert_eq!(bench.detected(), [(Detected::Silent, 1)]);
}

#[tokio::test(flavor = "local")]
async fn a_side_that_ends_without_a_word_still_hears_the_other() {
    for client_first in [true, false] {
        let bench = Bench::new().await;
        let mut client = bench.call().await;
        let (mut first, mut second) = if client_first {
            client.shutdown().await.unwrap();
            let server = bench.accept().await;
            (client, server)
        } else {
            (bench.accept().await, client)
        };
        first.shutdown().await.unwrap();
        assert_eq!(soon(second.read(&mut [0; 1])).await.unwrap(), 0);
        second.write_all(GREETING).await.unwrap();
        drop(second);
        let mut text = Vec::new();
        soon(first.read_to_end(&mut text)).await.unwrap();
        assert_eq!(text, GREETING);
        assert!(!bench.is_remembered());
    }
}
