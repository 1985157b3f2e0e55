//! Memory is bounded in both directions, and none is held at rest.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Wake;

use super::*;
use crate::buffer::{LARGEST, RECORD};

#[tokio::test]
async fn a_peer_that_does_not_read_stops_us() {
    let (mut ours, mut theirs) = our_client(duplex(10_000)).await;
    let bytes = pattern(4 << 20);
    let mut written = 0;
    while let Poll::Ready(count) = once(|cx| Pin::new(&mut ours).poll_write(cx, &bytes[written..])).await {
        written += count.unwrap();
        assert!(ours.held() <= LARGEST, "{} bytes held", ours.held());
    }
    assert!(written <= LARGEST + 10_000, "{written} bytes taken");

    let mut all = vec![0; bytes.len()];
    soon(async {
        let write = async {
            ours.write_all(&bytes[written..]).await.unwrap();
            ours.flush().await.unwrap();
        };
        tokio::join!(write, async { theirs.read_exact(&mut all).await.unwrap() });
    })
    .await;
    assert!(all == bytes);
    assert!(!ours.has_block(), "all was sent");
}

#[tokio::test]
async fn a_peer_that_never_stops_is_not_collected() {
    let (mut theirs, mut ours) = our_server(loopback().await).await;
    let sender = tokio::spawn(async move {
        let bytes = pattern(1 << 20);
        while theirs.write_all(&bytes).await.is_ok() {}
    });
    let mut byte = [0];
    for round in 0..2000 {
        soon(ours.read_exact(&mut byte)).await.unwrap();
        assert_eq!(byte[0], pattern(round + 1)[round]);
        soon(ours.write_all(b"an answer lets waiting records be decrypted, and no more")).await.unwrap();
        assert!(ours.held() <= 2 * LARGEST, "{} bytes held", ours.held());
    }
    drop(ours);
    soon(sender).await.unwrap();
}

#[tokio::test]
async fn a_connection_at_rest_holds_no_buffer() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    assert!(!ours.has_block(), "after the handshake");
    for size in [1, 1000, 16_384, 200_000] {
        let (bytes, mut answer) = (pattern(size), vec![0; size]);
        soon(async {
            let there = async {
                let mut got = vec![0; size];
                theirs.read_exact(&mut got).await.unwrap();
                theirs.write_all(&got).await.unwrap();
                theirs.flush().await.unwrap();
            };
            let here = async {
                ours.write_all(&bytes).await.unwrap();
                ours.flush().await.unwrap();
                ours.read_exact(&mut answer).await.unwrap();
            };
            tokio::join!(there, here);
        })
        .await;
        assert!(once(|cx| ours.poll_fill(cx).map(|_| ())).await.is_pending());
        assert!(!ours.has_block(), "after {size} bytes each way");
    }
}

#[tokio::test]
async fn an_endless_handshake_message_is_cut_off() {
    let (_, server) = configs();
    let (mut near, far) = memory();
    // A hello of 60,000 bytes in records of one byte: rustls would collect 360,000.
    let hello = [&[1, 0, 0xea, 0x60][..], &[0; 60_000]].concat();
    let records: Vec<u8> = hello.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let send = tokio::spawn(async move { near.write_all(&records).await });
    let error = soon(accept(server, far)).await.unwrap_err();
    assert!(error.to_string().contains("handshake message"), "{error}");
    assert!(soon(send).await.unwrap().is_err(), "not all of it was read");
}

#[tokio::test]
async fn an_idle_connection_tells_when_it_is_of_no_use() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    assert!(once(|cx| ours.poll_fill(cx).map(|_| ())).await.is_pending());
    theirs.get_mut().1.refresh_traffic_keys().unwrap();
    theirs.flush().await.unwrap();
    assert!(once(|cx| ours.poll_fill(cx).map(|_| ())).await.is_pending(), "new keys are no bytes");
    theirs.write_all(b"unasked").await.unwrap();
    theirs.flush().await.unwrap();
    soon(poll_fn(|cx| ours.poll_fill(cx).map(|_| ()))).await;

    for farewell in [true, false] {
        let (mut ours, mut theirs) = our_client(loopback().await).await;
        assert!(once(|cx| ours.poll_fill(cx).map(|_| ())).await.is_pending());
        if farewell {
            theirs.shutdown().await.unwrap();
        }
        drop(theirs);
        soon(poll_fn(|cx| ours.poll_fill(cx).map(|_| ()))).await;
        assert!(!ours.has_block());
    }
}

#[tokio::test]
async fn light_traffic_takes_small_blocks() {
    let (mut ours, mut theirs) = our_client(memory()).await;
    theirs.write_all(&[1; 100]).await.unwrap();
    theirs.flush().await.unwrap();
    assert_eq!(soon(poll_fn(|cx| ours.poll_fill(cx).map_ok(<[u8]>::len))).await.unwrap(), 100);
    assert!(ours.held() <= RECORD);
    ours.consume(40);
    assert_eq!(soon(poll_fn(|cx| ours.poll_fill(cx).map_ok(<[u8]>::len))).await.unwrap(), 60, "shown again");
    ours.consume(60);
    assert!(!ours.has_block());
}

/// Counts wake-ups.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn waiting_is_quiet_and_ends_with_one_event() {
    let (mut ours, mut theirs) = our_client(duplex(10_000)).await;
    let bell = Arc::new(Bell::default());
    let waker = Arc::clone(&bell).into();
    let mut cx = Context::from_waker(&waker);
    while let Poll::Ready(count) = Pin::new(&mut ours).poll_write(&mut cx, &[1; 1 << 16]) {
        assert!(count.unwrap() > 0);
    }
    assert!(Pin::new(&mut ours).poll_flush(&mut cx).is_pending());
    assert!(Pin::new(&mut ours).poll_shutdown(&mut cx).is_pending());
    assert!(ours.poll_fill(&mut cx).is_pending());
    assert_eq!(bell.0.load(Relaxed), 0, "nothing has happened");
    // It takes what there is, which is no whole record yet.
    assert!(once(|cx| Pin::new(&mut theirs).poll_read(cx, &mut ReadBuf::new(&mut [0; 9]))).await.is_pending());
    assert!(bell.0.load(Relaxed) > 0, "there is room");
}
