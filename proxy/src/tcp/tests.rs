use std::net::Ipv4Addr;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::tls::testing::TestCa;
use crate::tls::{self, MeshProtocol};

async fn loopback() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Both ends of a connection between two proxies.
async fn mesh() -> (Stream, Stream) {
    let ca = TestCa::new("root");
    let client = ca.context("spiffe://cluster.local/ns/shop/sa/web").client(MeshProtocol::Tcp).unwrap();
    let server = ca.context("spiffe://cluster.local/ns/shop/sa/cart").server().unwrap();
    let (near, far) = loopback().await;
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let (near, far) = tokio::join!(tls::connect(client, name, near), tls::accept(server, far));
    (Stream::Tls(Box::new(near.unwrap())), Stream::Tls(Box::new(far.unwrap())))
}

/// A caller and an application with two proxies and TLS between them.
async fn joined() -> (TcpStream, TcpStream, [Arc<TcpCells>; 2]) {
    let (caller, outbound) = loopback().await;
    let (near, far) = mesh().await;
    let (inbound, application) = loopback().await;
    let cells = [Arc::new(TcpCells::default()), Arc::new(TcpCells::default())];
    tokio::task::spawn_local(join(Stream::Plain(outbound), near, Arc::clone(&cells[0]), None));
    tokio::task::spawn_local(join(far, Stream::Plain(inbound), Arc::clone(&cells[1]), None));
    (caller, application, cells)
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(std::time::Duration::from_secs(20), future).await.expect("within the deadline")
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

#[tokio::test(flavor = "local")]
async fn both_directions_flow_at_once_and_are_counted() {
    let (caller, application, cells) = joined().await;
    let (there, back) = (pattern(5_000_001), pattern(3_000_001));
    let (mut sent, mut answered) = (vec![0; there.len()], vec![0; back.len()]);
    let ((mut from_caller, mut to_caller), (mut from_application, mut to_application)) =
        (split(caller), split(application));
    soon(async {
        let all = tokio::join!(
            to_caller.write_all(&there),
            from_application.read_exact(&mut sent),
            to_application.write_all(&back),
            from_caller.read_exact(&mut answered),
        );
        assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    })
    .await;
    assert!(sent == there && answered == back);
    for cells in &cells {
        assert_eq!((cells.opened.get(), cells.open.get()), (1, 1));
        assert_eq!((cells.sent_bytes.get(), cells.received_bytes.get()), (5_000_001, 3_000_001));
    }
}

#[tokio::test(flavor = "local")]
async fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    for caller_first in [true, false] {
        let (caller, application, cells) = joined().await;
        let (mut first, mut second) = if caller_first { (caller, application) } else { (application, caller) };
        soon(async {
            first.write_all(b"no more from me").await.unwrap();
            first.shutdown().await.unwrap();
            let mut text = String::new();
            second.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "no more from me");
            second.write_all(&pattern(700_000)).await.unwrap();
            let mut part = vec![0; 700_000];
            first.read_exact(&mut part).await.unwrap();
            assert!(part == pattern(700_000));
            second.shutdown().await.unwrap();
            assert_eq!(first.read(&mut [0; 9]).await.unwrap(), 0);
            while cells.iter().any(|cells| cells.open.get() > 0) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "local")]
async fn a_broken_side_ends_both() {
    let (caller, mut application, cells) = joined().await;
    socket2::SockRef::from(&caller).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(caller); // a reset
    soon(async {
        assert!(application.read(&mut [0; 9]).await.map_or(true, |count| count == 0));
        drop(application);
        while cells.iter().any(|cells| cells.open.get() > 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn a_sink_that_stalls_stalls_the_source() {
    let (mut caller, mut application, cells) = joined().await;
    let chunk = pattern(1 << 16);
    let mut written = 0;
    // Kernel buffers of three connections, with autotuning at most some MiB each; without back-pressure this would not end.
    while let Ok(count) = tokio::time::timeout(std::time::Duration::from_millis(300), caller.write(&chunk)).await {
        written += count.unwrap();
        assert!(written < 64 << 20, "{written} bytes on their way");
    }
    let mut arrived = vec![0; written];
    soon(application.read_exact(&mut arrived)).await.unwrap();
    assert_eq!(cells[1].sent_bytes.get(), written as u64);
}
