//! Peers that break off, lie, or are no TLS at all.

use rustls::{AlertDescription, Error};

use super::*;
use crate::tls::testing::{Leaf, context};

/// The rustls error inside.
fn reason(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

#[tokio::test]
async fn an_end_without_farewell_is_an_error_after_the_bytes() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    theirs.write_all(b"half a mess").await.unwrap();
    theirs.flush().await.unwrap();
    theirs.get_mut().0.shutdown().await.unwrap(); // TCP's end, not that of TLS
    let mut bytes = [0; 11];
    soon(ours.read_exact(&mut bytes)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(soon(ours.read(&mut bytes)).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
    ours.write_all(b"still heard").await.unwrap();
    soon(theirs.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"still heard");
}

#[tokio::test]
async fn a_record_cut_short_is_an_error() {
    let (mut ours, mut theirs) = our_client(memory()).await;
    theirs.get_mut().0.write_all(&[23, 3, 3, 0, 99, 1, 2, 3]).await.unwrap();
    theirs.get_mut().0.shutdown().await.unwrap();
    assert_eq!(soon(ours.read(&mut [0; 9])).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn our_farewell_is_the_end_for_the_peer_and_our_drop_is_not() {
    let (mut ours, mut theirs) = our_client(loopback().await).await;
    ours.shutdown().await.unwrap();
    assert_eq!(soon(theirs.read(&mut [0; 9])).await.unwrap(), 0);
    assert_eq!(ours.write(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    soon(ours.shutdown()).await.unwrap();

    let (ours, mut theirs) = our_client(loopback().await).await;
    drop(ours);
    assert!(soon(theirs.read(&mut [0; 9])).await.is_err());
}

#[tokio::test]
async fn a_forged_record_is_refused_with_an_alert_after_the_good_ones() {
    for found_by_writing in [false, true] {
        let (mut ours, mut theirs) = our_client(memory()).await;
        theirs.write_all(b"good").await.unwrap();
        theirs.flush().await.unwrap();
        theirs.get_mut().0.write_all(&[&[23, 3, 3, 0, 40][..], &[7; 40]].concat()).await.unwrap();
        let mut bytes = [0; 4];
        soon(ours.read_exact(&mut bytes[..1])).await.unwrap();
        if found_by_writing {
            // What arrived is looked at before anything is encrypted.
            assert!(soon(ours.write(b"x")).await.is_err());
        }
        soon(ours.read_exact(&mut bytes[1..])).await.unwrap();
        assert_eq!(&bytes, b"good");
        for _ in 0..2 {
            let error = soon(ours.read(&mut bytes)).await.unwrap_err();
            assert_eq!(reason(&error), Some(&Error::DecryptError), "{error}");
        }
        assert!(ours.write(b"x").await.is_err(), "nothing follows an alert");
        drop(ours);
        let error = soon(theirs.read_to_end(&mut Vec::new())).await.unwrap_err();
        assert_eq!(reason(&error), Some(&Error::AlertReceived(AlertDescription::BadRecordMac)), "{error}");
    }
}

#[tokio::test]
async fn an_oversized_record_is_refused_before_it_is_collected() {
    let (mut ours, mut theirs) = our_client(memory()).await;
    theirs.get_mut().0.write_all(&[23, 3, 3, 0xff, 0xff, 1]).await.unwrap();
    let error = soon(ours.read(&mut [0; 9])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(soon(theirs.read(&mut [0; 9])).await.unwrap_err().to_string().contains("alert"), "the peer is told");
}

#[tokio::test]
async fn a_peer_that_is_not_tls_is_refused_and_told() {
    let (_, server) = configs();
    let (mut near, far) = memory();
    near.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let error = soon(accept(server, far)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut told = Vec::new();
    soon(near.read_to_end(&mut told)).await.unwrap();
    assert_eq!(told[..3], [21, 3, 3], "an alert");

    let (client, _) = configs();
    let (near, mut far) = memory();
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let error = soon(connect(client, name(), near)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn hanging_up_in_the_handshake_ends_it() {
    let (client, server) = configs();
    let (near, far) = memory();
    drop(near);
    assert_eq!(soon(accept(server, far)).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

    let (near, mut far) = loopback().await;
    let dialling = tokio::spawn(connect(client, name(), near));
    let mut hello = [0; 5];
    soon(far.read_exact(&mut hello)).await.unwrap();
    dialling.abort();
    assert!(dialling.await.unwrap_err().is_cancelled());
    let mut rest = Vec::new();
    soon(far.read_to_end(&mut rest)).await.unwrap(); // the abandoned handshake has closed the connection
}

#[tokio::test]
async fn a_refused_certificate_is_told_to_its_owner() {
    let ca = TestCa::new("root");
    let stranger = context(ca.unchecked(&Leaf::of("spiffe://other.example/ns/shop/sa/web")), ca.bundle());
    let right = ca.context(CART);

    let (near, far) = memory();
    let config = stranger.client(MeshProtocol::Tcp).unwrap();
    let client = async {
        let mut stream = TlsConnector::from(config).connect(name(), near).await?;
        stream.read(&mut [0; 1]).await // a client hears of it after its own handshake
    };
    let (theirs, ours) = soon(async { tokio::join!(client, accept(right.server().unwrap(), far)) }).await;
    assert!(ours.unwrap_err().to_string().contains("another trust domain"));
    assert!(matches!(reason(&theirs.unwrap_err()), Some(Error::AlertReceived(_))));

    let (near, far) = memory();
    let server = TlsAcceptor::from(stranger.server().unwrap());
    let config = right.client(MeshProtocol::Tcp).unwrap();
    let (ours, theirs) = soon(async { tokio::join!(connect(config, name(), near), server.accept(far)) }).await;
    assert!(ours.unwrap_err().to_string().contains("another trust domain"));
    assert!(matches!(reason(&theirs.unwrap_err()), Some(Error::AlertReceived(_))));
}
