//! What goes in comes out, in every size and cut, and each direction ends by itself.

use tokio::io::{ReadHalf, WriteHalf, split};

use super::*;

/// Sends `bytes` in `chunk`s and ends the direction.
async fn send(mut to: WriteHalf<Box<dyn Wire>>, bytes: &[u8], chunk: usize) {
    for chunk in bytes.chunks(chunk) {
        to.write_all(chunk).await.unwrap();
    }
    to.shutdown().await.unwrap();
}

/// Reads `chunk` bytes at most at once, to the end.
async fn receive(mut from: ReadHalf<Box<dyn Wire>>, chunk: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; chunk]);
    loop {
        match from.read(&mut buffer).await.unwrap() {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Echoes until the peer ends, then ends.
async fn echo(stream: Box<dyn Wire>) {
    let (mut from, mut to) = split(stream);
    tokio::io::copy(&mut from, &mut to).await.unwrap();
    to.shutdown().await.unwrap();
}

async fn round_trip(ours: Ours, client: Box<dyn Wire>, server: Box<dyn Wire>, length: usize, chunk: usize) {
    let bytes = pattern(length);
    let (from, to) = split(client);
    let (_, echoed, ()) =
        soon(async { tokio::join!(send(to, &bytes, chunk), receive(from, chunk + 1), echo(server)) }).await;
    assert!(echoed == bytes, "{ours:?}: {length} bytes in chunks of {chunk}");
}

#[tokio::test]
async fn every_size_survives_the_loopback() {
    let table = [(0, 1), (1, 1), (777, 7), (16_383, 999), (16_384, 16_384), (16_385, 16_385), (65_536, 65_536)];
    for ours in ALL {
        for (length, chunk) in table.into_iter().chain([(300_001, 70_001), (5 << 20, 4093), (5 << 20, 300_007)]) {
            let (client, server) = pair(ours, loopback().await).await;
            round_trip(ours, client, server, length, chunk).await;
        }
    }
}

#[tokio::test]
async fn every_cut_of_the_wire_is_put_together_again() {
    for ours in ALL {
        for (capacity, length, chunk) in
            [(1, 500, 97), (3, 2000, 1999), (1000, 70_000, 17_001), (65_536, 1 << 20, 99_991)]
        {
            let (client, server) = pair(ours, duplex(capacity)).await;
            round_trip(ours, client, server, length, chunk).await;
        }
    }
}

#[tokio::test]
async fn either_side_may_end_first_and_the_other_goes_on() {
    for ours in ALL {
        for server_ends in [false, true] {
            let (client, server) = pair(ours, loopback().await).await;
            let (mut first, mut second) = if server_ends { (server, client) } else { (client, server) };
            soon(async {
                first.write_all(b"the last").await.unwrap();
                first.shutdown().await.unwrap();
                let mut text = String::new();
                second.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "the last");
                assert_eq!(second.read(&mut [0; 9]).await.unwrap(), 0, "an end stays an end");
                second.write_all(&pattern(100_000)).await.unwrap();
                second.shutdown().await.unwrap();
                let mut rest = Vec::new();
                first.read_to_end(&mut rest).await.unwrap();
                assert!(rest == pattern(100_000), "{ours:?}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn new_keys_are_taken_and_given() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    let (mut buffer, mut answer) = ([0; 6], [0; 20_000]);
    for round in 0..100 {
        theirs.get_mut().1.refresh_traffic_keys().unwrap();
        soon(async {
            theirs.write_all(b"update").await.unwrap();
            theirs.flush().await.unwrap();
            ours.read_exact(&mut buffer).await.unwrap();
            ours.write_all(&[round; 20_000]).await.unwrap();
            theirs.read_exact(&mut answer).await.unwrap();
        })
        .await;
        assert_eq!((&buffer, answer), (b"update", [round; 20_000]));
    }
}

#[tokio::test]
async fn new_keys_without_bytes_do_not_end_the_wait() {
    let (mut theirs, mut ours) = our_server(duplex(1)).await;
    theirs.get_mut().1.refresh_traffic_keys().unwrap();
    let mut buffer = [0; 5];
    soon(async {
        let flush = async {
            theirs.flush().await.unwrap();
            theirs.write_all(b"after").await.unwrap();
            theirs.flush().await.unwrap();
        };
        tokio::join!(flush, async { ours.read_exact(&mut buffer).await.unwrap() });
    })
    .await;
    assert_eq!(&buffer, b"after");
}
