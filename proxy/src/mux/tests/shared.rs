//! Shared connections over loopback and real TLS.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, spawn_local};

use crate::drain::Drain;
use crate::mux::testing::pair;
use crate::mux::{self, MuxStream, Opener};

/// Runs `test` with a shared connection whose accepting side answers each connection with `answer`.
async fn with<F: Future<Output = ()> + 'static>(
    answer: impl Fn(MuxStream) -> F + Copy + 'static,
    test: impl AsyncFnOnce(Opener, Drain, JoinHandle<std::io::Result<()>>),
) {
    let here = async {
        let (client, server) = pair().await;
        let drain = Drain::default();
        let served = spawn_local({
            let drain = drain.clone();
            async move {
                let mut tasks = Vec::new();
                let ended = mux::serve(server, &drain, |stream| tasks.push(spawn_local(answer(stream)))).await;
                for task in tasks {
                    task.await.unwrap();
                }
                ended
            }
        });
        test(Opener::start(client), drain, served).await;
    };
    tokio::time::timeout(Duration::from_secs(20), here).await.expect("within the deadline");
}

/// Sends back what comes.
async fn echo(mut stream: MuxStream) {
    let mut block = vec![0; 10_000];
    while let Ok(count) = stream.read(&mut block).await {
        if count == 0 || stream.write_all(&block[..count]).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * (seed + 3)) % 251) as u8).collect()
}

async fn asks(mut stream: MuxStream, seed: usize, length: usize) {
    let sent = pattern(seed, length);
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let mut received = Vec::new();
    let (written, read) = tokio::join!(
        async {
            writer.write_all(&sent).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut received)
    );
    written.unwrap();
    read.unwrap();
    assert!(received == sent, "{} of {length} bytes came back, or others", received.len());
}

#[tokio::test(flavor = "local")]
async fn many_connections_carry_their_own_bytes() {
    with(echo, async |opener, _, _| {
        let asking: Vec<_> =
            (0..mux::STREAMS).map(|seed| spawn_local(asks(opener.open().unwrap(), seed, 1 + seed * 20_000))).collect();
        assert!(opener.open().is_none(), "it is full");
        for task in asking {
            task.await.unwrap();
        }
        assert_eq!(opener.open_streams(), 0);
        assert!(opener.open().is_some());
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn a_reader_that_stalls_holds_up_nobody() {
    with(echo, async |opener, _, _| {
        let mut stalled = opener.open().unwrap();
        // As much as goes without reading the echo.
        let stuck = async { while stalled.write_all(&[1; 4096]).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_millis(300), stuck).await.is_err(), "the writer has to wait");
        asks(opener.open().unwrap(), 1, 1_000_000).await;
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn dropping_the_handle_ends_the_connection_behind_its_last_stream() {
    with(echo, async |opener, _, served| {
        let mut last = opener.open().unwrap();
        last.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        last.read_exact(&mut answer).await.unwrap();
        drop(opener);
        asks(last, 0, 100_000).await;
        served.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn draining_serves_what_is_open_and_then_ends() {
    with(echo, async |opener, drain, served| {
        let mut stream = opener.open().unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        drain.start();
        while !opener.is_over() {
            tokio::task::yield_now().await;
        }
        assert!(opener.open().is_none());
        asks(stream, 5, 300_000).await;
        served.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn all_fail_when_the_connection_breaks() {
    with(echo, async |opener, _, served| {
        let mut stream = opener.open().unwrap();
        stream.write_all(b"ping").await.unwrap();
        served.abort();
        let mut block = [0; 64];
        while let Ok(count) = stream.read(&mut block).await {
            assert!(count > 0, "an end in due form");
        }
        assert!(stream.write_all(b"more").await.is_err());
        assert!(opener.is_over());
    })
    .await;
}

#[tokio::test(flavor = "local")]
async fn a_peer_that_never_agrees_is_left_all_the_same() {
    let (client, server) = pair().await;
    let drain = Drain::default();
    drain.start();
    let served = mux::serve(server, &drain, |_| panic!("nothing was opened"));
    tokio::time::timeout(Duration::from_secs(20), served).await.expect("within the deadline").unwrap();
    drop(client);
}

#[tokio::test(flavor = "local")]
async fn what_the_peer_has_no_room_for_is_told_apart_and_the_next_goes_elsewhere() {
    thread_local!(static TAKEN: RefCell<Vec<MuxStream>> = const { RefCell::new(Vec::new()) });
    // A peer that is slow to hear of ends.
    let keep = |stream| async move { TAKEN.with_borrow_mut(|taken| taken.push(stream)) };
    with(keep, async |opener, _, _| {
        for number in 1..=2 * mux::STREAMS {
            drop(opener.open().expect("room on this side"));
            while TAKEN.with_borrow(Vec::len) < number {
                tokio::task::yield_now().await;
            }
        }
        let mut refused = opener.open().expect("room on this side");
        let error = refused.read(&mut [0; 64]).await.expect_err("no room over there");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        assert_eq!(refused.write(b"x").await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(opener.is_over(), "the next one is opened elsewhere");
        TAKEN.take();
    })
    .await;
}
