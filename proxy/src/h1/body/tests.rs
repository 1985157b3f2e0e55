use std::task::Waker;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::io::Stream;

/// Two connected wires and their far ends.
async fn wires() -> [(Wire, TcpStream); 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let address = listener.local_addr().expect("its address");
    let mut pairs = Vec::new();
    for _ in 0..2 {
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        pairs.push((Wire::new(Stream::Plain(near.expect("a connection"))), far.expect("a connection").0));
    }
    let second = pairs.pop().expect("two");
    [pairs.pop().expect("two"), second]
}

/// Passes `sent` on as a body after the head `HEAD|` and gives what the receiver gets.
async fn pass(sent: &[u8], framing: Framing, chunks: bool, kept: bool) -> Result<Vec<u8>, Stop> {
    let [(mut from, mut sender), (mut to, mut receiver)] = wires().await;
    let mut out = Buffer::new();
    out.extend(b"HEAD|");
    let mut message = Message::new(out, framing, chunks, kept);
    let sent = sent.to_vec();
    let feeding = tokio::spawn(async move {
        for piece in sent.chunks(7001) {
            sender.write_all(piece).await.expect("taken");
        }
    });
    let passing = async {
        let passed = std::future::poll_fn(|cx| message.poll(cx, &mut from, &mut to)).await;
        drop(to);
        passed
    };
    let receiving = async {
        let mut received = Vec::new();
        receiver.read_to_end(&mut received).await.expect("readable");
        received
    };
    let (passed, received) = tokio::join!(passing, receiving);
    feeding.await.expect("fed");
    passed.map(|()| received)
}

#[tokio::test]
async fn a_body_of_known_length_passes_unchanged() {
    let body: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    for kept in [false, true] {
        let received = pass(&body, Framing::Length(body.len() as u64), false, kept).await.expect("whole");
        assert!(received == [b"HEAD|", &body[..]].concat(), "kept: {kept}, {} bytes", received.len());
    }
}

#[tokio::test]
async fn small_chunks_that_come_together_go_on_as_one() {
    let ones = |count: usize| "1\r\na\r\n".repeat(count);
    let rows = [
        ("3\r\nabc\r\n0\r\n\r\n".to_owned(), "3\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n".to_owned(), "4\r\nabcd\r\n0\r\n\r\n".to_owned()),
        ("1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n".to_owned(), "3\r\nabc\r\n0\r\nx: y\r\n\r\n".to_owned()),
        (format!("{}0\r\n\r\n", ones(300)), format!("12c\r\n{}\r\n0\r\n\r\n", "a".repeat(300))),
    ];
    for (sent, passed) in rows {
        let received = pass(sent.as_bytes(), Framing::Chunked, true, false).await.expect("whole");
        assert_eq!(String::from_utf8_lossy(&received), format!("HEAD|{passed}"));
    }
}

#[tokio::test]
async fn nothing_behind_the_body_passes() {
    let received = pass(b"12345GET /admin", Framing::Length(5), false, false).await.expect("whole");
    assert_eq!(received, b"HEAD|12345");
}

#[tokio::test]
async fn chunks_are_coded_anew_with_their_trailers() {
    let sent = b"3;x=y\r\nabc\r\n000002\r\nde\r\n0\r\nchecksum:  7\r\nTransfer-Encoding: chunked\r\n\r\n";
    let received = pass(sent, Framing::Chunked, true, false).await.expect("whole");
    assert_eq!(received, b"HEAD|5\r\nabcde\r\n0\r\nchecksum: 7\r\n\r\n");
    let received = pass(sent, Framing::Chunked, false, false).await.expect("whole");
    assert_eq!(received, b"HEAD|abcde");
}

#[tokio::test]
async fn the_end_of_the_connection_becomes_the_last_chunk() {
    let received = pass(b"abc", Framing::Close, true, false).await.expect("whole");
    assert_eq!(received, b"HEAD|3\r\nabc\r\n0\r\n\r\n");
    let received = pass(b"abc", Framing::Close, false, false).await.expect("whole");
    assert_eq!(received, b"HEAD|abc");
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_whole() {
    let stop = pass(b"abc", Framing::Length(4), false, false).await;
    assert!(matches!(stop, Err(Stop::Source(_))), "{stop:?}");
    let stop = pass(b"5\r\nabc", Framing::Chunked, true, false).await;
    assert!(matches!(stop, Err(Stop::Source(_))), "{stop:?}");
    let stop = pass(b"5\r\nabcdeX", Framing::Chunked, true, false).await;
    assert!(matches!(stop, Err(Stop::Malformed(_))), "{stop:?}");
}

#[tokio::test]
async fn a_kept_request_can_be_sent_again_until_it_is_too_long() {
    let [(mut from, mut sender), (mut to, mut receiver)] = wires().await;
    let mut out = Buffer::new();
    out.extend(b"HEAD|");
    let mut message = Message::new(out, Framing::Length(100_000), false, true);
    sender.write_all(b"abc").await.expect("taken");
    let mut got = vec![0; 8];
    for _ in 0..2 {
        // What was read before is given again to each receiver.
        tokio::select! {
            biased;
            _ = std::future::poll_fn(|cx| message.poll(cx, &mut from, &mut to)) => panic!("it is not over"),
            read = receiver.read_exact(&mut got) => read.expect("readable"),
        };
        assert_eq!(got, b"HEAD|abc");
        assert!(message.has_written());
        assert!(message.rewind());
    }
    sender.write_all(&[b'x'; 80_000]).await.expect("taken");
    let mut rest = vec![0; 80_008];
    tokio::select! {
        biased;
        _ = std::future::poll_fn(|cx| message.poll(cx, &mut from, &mut to)) => panic!("it is not over"),
        read = receiver.read_exact(&mut rest) => read.expect("readable"),
    };
    assert!(!message.rewind(), "80 KB are not kept");
}

#[tokio::test]
async fn an_unwanted_body_is_read_up_to_a_limit() {
    let [(mut from, mut sender), _] = wires().await;
    let mut message = Message::new(Buffer::new(), Framing::Length(100_000), false, true);
    sender.write_all(&[b'x'; 60_000]).await.expect("taken");
    let mut limit = 50_000;
    let stop = std::future::poll_fn(|cx| message.poll_discard(cx, &mut from, &mut limit)).await;
    assert!(matches!(stop, Err(Stop::Source(_))), "{stop:?}");
}

#[test]
fn the_state_of_a_message_is_small() {
    // It lies in the future of every connection.
    assert!(size_of::<Message>() <= 128, "{} bytes", size_of::<Message>());
    let _ = Waker::noop();
}
