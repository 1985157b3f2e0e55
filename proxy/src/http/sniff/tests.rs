use super::*;

#[test]
fn first_bytes_tell_the_protocol() {
    let table: [(&[u8], Option<Guess>); 12] = [
        (b"", None),
        (b"G", None),
        (b"GET /", Some(Guess::Http(Version::H1))),
        (b"P", None),
        (b"PR", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Guess::Http(Version::H2))),
        (b"POST /x HTTP/1.1\r\n", Some(Guess::Http(Version::H1))),
        (b"PATCH", None),
        (b"PATCHED", Some(Guess::Bytes)),
        (b"\x16\x03\x01", Some(Guess::Bytes)),
        (b"EHLO x\r\n", Some(Guess::Bytes)),
        (b"*1\r\n$4\r\nPING\r\n", Some(Guess::Bytes)),
    ];
    for (bytes, expected) in table {
        assert_eq!(guess(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn first_words_of_a_server_tell_the_protocol() {
    let table: [(&[u8], Greeting); 9] = [
        (b"\0\0\0\x04\0\0\0\0\0", Greeting::Http2),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Greeting::Http2),
        (b"\0\0\x05\x04\0\0\0\0\0", Greeting::Bytes),
        (b"\0\0\0\x04\x01\0\0\0\0", Greeting::Bytes),
        (b"\0\0\0\x04\0\0\0\0", Greeting::Bytes),
        (b"HTTP/1.1 408 Request Timeout\r\n", Greeting::Answer),
        (b"220 mail ESMTP\r\n", Greeting::Bytes),
        (b"\x59\0\0\0\x0a5.5.5-10.11", Greeting::Bytes),
        (b"", Greeting::Bytes),
    ];
    for (bytes, expected) in table {
        assert_eq!(greeting(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_decision_waits_for_the_second_segment_and_consumes_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"P").await.unwrap();
    let (decision, ()) = tokio::join!(peek_until(&server, guess), async {
        tokio::task::yield_now().await;
        client.write_all(b"RI * HTTP/2.0\r\n").await.unwrap();
    });
    assert_eq!(decision.unwrap(), Some(Guess::Http(Version::H2)));
    let mut first = [0; 3];
    server.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"PRI");
}
