use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};
use rustls_pki_types::ServerName;
use time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::hello::MAX_HELLO_BYTES;
use super::testing::{Leaf, TRUST_DOMAIN, TestCa, context, private};
use super::*;

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

type Client = client::TlsStream<DuplexStream>;
type Server = server::TlsStream<DuplexStream>;

/// Both sides of one handshake, each with its own verdict. TLS 1.3 clients finish before the server has judged them, so the client reads
/// one byte that the server sends only after it accepted.
async fn handshake(
    dialling: &TlsContext,
    answering: &TlsContext,
    protocol: MeshProtocol,
) -> (io::Result<Client>, io::Result<Server>) {
    let (near, far) = duplex(64 * 1024);
    let connector = TlsConnector::from(dialling.client(protocol).expect("the context is complete"));
    let acceptor = TlsAcceptor::from(answering.server().expect("the context is complete"));
    let client = async move {
        let mut stream = connector.connect(ServerName::IpAddress(Ipv4Addr::LOCALHOST.into()), near).await?;
        stream.read_u8().await?;
        Ok(stream)
    };
    let server = async move {
        let mut stream = acceptor.accept(far).await?;
        stream.write_u8(b'!').await?;
        stream.flush().await?;
        Ok(stream)
    };
    tokio::join!(client, server)
}

#[tokio::test]
async fn right_certificates_are_accepted_and_name_the_peers() {
    let ca = TestCa::new("root");
    for protocol in MeshProtocol::ALL {
        let (client, server) = handshake(&ca.context(WEB), &ca.context(CART), protocol).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        let (_, near) = client.get_ref();
        let (_, far) = server.get_ref();
        assert_eq!(near.alpn_protocol(), Some(protocol.alpn()));
        assert_eq!(far.alpn_protocol().and_then(MeshProtocol::from_alpn), Some(protocol));
        assert_eq!(far.server_name(), None, "SNI would name the destination in clear text");
        assert_eq!(peer_identity(near.peer_certificates().unwrap()).unwrap().to_string(), CART);
        assert_eq!(peer_identity(far.peer_certificates().unwrap()).unwrap().to_string(), WEB);
    }
}

#[tokio::test]
async fn the_handshake_is_tls_13_hybrid_and_leaves_nothing_to_resume() {
    let ca = TestCa::new("root");
    let (web, cart) = (ca.context(WEB), ca.context(CART));
    for _ in 0..2 {
        let (client, server) = handshake(&web, &cart, MeshProtocol::H2).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        let (_, near) = client.get_ref();
        assert_eq!(near.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(near.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
        assert_eq!(near.negotiated_cipher_suite().unwrap().suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(near.tls13_tickets_received(), 0);
        assert_eq!(near.handshake_kind(), Some(HandshakeKind::Full), "the second handshake is a full one again");
        assert_eq!(server.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn the_key_exchange_can_be_chosen_and_no_cipher_is_lost() {
    let groups = |choice| provider_for(choice).kx_groups.iter().map(|group| group.name()).collect::<Vec<_>>();
    assert_eq!(groups(KeyExchange::Hybrid).first(), Some(&NamedGroup::X25519MLKEM768));
    assert_eq!(groups(KeyExchange::X25519).first(), Some(&NamedGroup::X25519));
    assert!(!groups(KeyExchange::X25519).contains(&NamedGroup::X25519MLKEM768));
    let all = rustls::crypto::aws_lc_rs::default_provider().cipher_suites.len();
    assert_eq!(provider_for(KeyExchange::X25519).cipher_suites.len(), all);
}

/// Each wrong certificate, and the word that must stand in the refusal.
fn wrong_leaves() -> Vec<(&'static str, Leaf, &'static str)> {
    let right = Leaf::of(WEB);
    vec![
        (
            "expired",
            Leaf { starts_in: -Duration::hours(2), ends_in: -Duration::seconds(2), ..right.clone() },
            "expired",
        ),
        (
            "not yet valid",
            Leaf { starts_in: Duration::hours(1), ends_in: Duration::hours(2), ..right.clone() },
            "not valid yet",
        ),
        ("two URI names", Leaf { uris: vec![WEB.into(), CART.into()], ..right.clone() }, "2 URI names"),
        ("no name at all", Leaf { uris: vec![], ..right.clone() }, "0 URI names"),
        ("a DNS name only", Leaf { uris: vec![], dns: vec!["web.shop.svc".into()], ..right.clone() }, "0 URI names"),
        ("foreign trust domain", Leaf::of("spiffe://other.example/ns/shop/sa/web"), "another trust domain"),
        ("no SPIFFE id", Leaf::of("https://cluster.local/ns/shop/sa/web"), "no SPIFFE id"),
        ("a path of another form", Leaf::of("spiffe://cluster.local/web"), "no SPIFFE id"),
        (
            "wrong usage",
            Leaf { usages: vec![ExtendedKeyUsagePurpose::CodeSigning], ..right },
            "does not allow extended key usage",
        ),
    ]
}

#[tokio::test]
async fn wrong_clients_are_refused_by_the_server() {
    let ca = TestCa::new("root");
    let answering = ca.context(CART);
    for (case, leaf, word) in wrong_leaves() {
        let dialling = context(ca.unchecked(&leaf), ca.bundle());
        let (client, server) = handshake(&dialling, &answering, MeshProtocol::H1).await;
        let refusal = server.map(|_| ()).expect_err(case).to_string();
        assert!(refusal.contains(word), "{case}: {refusal}");
        assert!(client.is_err(), "{case}: the client must notice");
    }
}

#[tokio::test]
async fn wrong_servers_are_refused_by_the_client() {
    let ca = TestCa::new("root");
    let dialling = ca.context(CART);
    for (case, leaf, word) in wrong_leaves() {
        let answering = context(ca.unchecked(&leaf), ca.bundle());
        let (client, server) = handshake(&dialling, &answering, MeshProtocol::H1).await;
        let refusal = client.map(|_| ()).expect_err(case).to_string();
        assert!(refusal.contains(word), "{case}: {refusal}");
        assert!(server.is_err(), "{case}: the server must notice");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_either_way() {
    let ours = TestCa::new("root");
    let right = ours.context(CART);
    for (name, word) in [("other", "UnknownIssuer"), ("root", "BadSignature")] {
        let wrong = context(TestCa::new(name).identity(WEB), ours.bundle());
        let (_, server) = handshake(&wrong, &right, MeshProtocol::H2).await;
        let refusal = server.map(|_| ()).expect_err(name).to_string();
        assert!(refusal.contains(word), "{name}: {refusal}");
        let (client, _) = handshake(&right, &wrong, MeshProtocol::H2).await;
        let refusal = client.map(|_| ()).expect_err(name).to_string();
        assert!(refusal.contains(word), "{name}: {refusal}");
    }
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let ca = TestCa::new("root");
    let (near, far) = duplex(64 * 1024);
    let anonymous = issuer_client(&CART.parse().unwrap(), &ca.bundle()).unwrap();
    let mut anonymous = anonymous;
    anonymous.alpn_protocols = vec![MeshProtocol::H2.alpn().to_vec()];
    let connector = TlsConnector::from(Arc::new(anonymous));
    let acceptor = TlsAcceptor::from(ca.context(CART).server().unwrap());
    let (_, server) =
        tokio::join!(connector.connect(ServerName::IpAddress(Ipv4Addr::LOCALHOST.into()), near), acceptor.accept(far));
    assert!(server.map(|_| ()).unwrap_err().to_string().contains("no certificates"));
}

#[tokio::test]
async fn a_new_bundle_and_a_new_identity_apply_to_the_next_handshake() {
    let (old, new) = (TestCa::new("old"), TestCa::new("new"));
    let (web, cart) = (old.context(WEB), old.context(CART));
    let both = Arc::new(Bundle::from_pem(format!("{}{}", old.pem(), new.pem()).as_bytes()).unwrap());
    for side in [&web, &cart] {
        side.set_bundle(Arc::clone(&both)).unwrap();
    }
    cart.set_identity(new.identity(CART)).unwrap();
    let (client, server) = handshake(&web, &cart, MeshProtocol::H2).await;
    assert!(client.is_ok() && server.is_ok(), "mixed roots during a rotation");
    assert_eq!(cart.facts().unwrap().generation, 3);

    web.set_bundle(new.bundle()).unwrap();
    web.set_identity(new.identity(WEB)).unwrap();
    let (client, server) = handshake(&web, &cart, MeshProtocol::H2).await;
    assert!(client.is_ok() && server.is_ok(), "the old root is gone on one side");

    cart.set_bundle(new.bundle()).unwrap();
    web.set_identity(old.identity(WEB)).unwrap();
    let (_, server) = handshake(&web, &cart, MeshProtocol::H2).await;
    assert!(server.is_err(), "a certificate of a retired root is refused");
}

#[test]
fn an_empty_context_offers_nothing() {
    let tls = TlsContext::new(TRUST_DOMAIN.parse().unwrap());
    assert!(tls.server().is_none() && tls.client(MeshProtocol::H2).is_none() && tls.facts().is_none());
    tls.set_bundle(TestCa::new("root").bundle()).unwrap();
    assert!(tls.server().is_none(), "roots without a certificate are not enough");
}

#[test]
fn bundles_are_taken_whole_or_not_at_all() {
    let (a, b) = (TestCa::new("a"), TestCa::new("b"));
    let one = Bundle::from_pem(format!("{}\n\n{}", a.pem(), b.pem()).as_bytes()).unwrap();
    let other = Bundle::from_pem(format!("{}{}", b.pem(), a.pem()).as_bytes()).unwrap();
    assert_eq!((one.len(), one.hash()), (2, other.hash()));
    assert_ne!(one.hash(), a.bundle().hash());

    let broken = a.pem().replace("MII", "AAA");
    let table = [
        ("empty", String::new(), "no certificate"),
        ("no PEM inside", "hello".to_owned(), "no certificate"),
        ("one good, one broken", format!("{}{broken}", b.pem()), "certificate 2 of the trust bundle"),
        ("too many", a.pem().repeat(33), "more than 32"),
    ];
    for (case, pem, word) in table {
        let refusal = Bundle::from_pem(pem.as_bytes()).expect_err(case).to_string();
        assert!(refusal.contains(word), "{case}: {refusal}");
    }
}

#[test]
fn our_own_certificate_is_checked_before_use() {
    let ca = TestCa::new("root");
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let right = ca.sign(&Leaf::of(WEB), &key);
    let identity = WorkloadIdentity::new(right.as_bytes(), private(&key), &WEB.parse().unwrap()).unwrap();
    assert_eq!(identity.facts().identity.to_string(), WEB);
    assert_eq!(identity.facts().not_after - identity.facts().not_before, 3660);

    let table = [
        ("another pod's", ca.sign(&Leaf::of(CART), &key), "but this pod is"),
        ("another key's", ca.sign(&Leaf::of(WEB), &other), "does not belong to the key"),
        ("no chain", String::new(), "0 certificates"),
        ("endless chain", right.repeat(9), "9 certificates"),
    ];
    for (case, chain, word) in table {
        let refusal =
            WorkloadIdentity::new(chain.as_bytes(), private(&key), &WEB.parse().unwrap()).expect_err(case).to_string();
        assert!(refusal.contains(word), "{case}: {refusal}");
    }
}

#[test]
fn hellos_are_told_apart_at_every_length() {
    let ca = TestCa::new("root");
    let hello = |config: Arc<rustls::ClientConfig>| {
        let mut bytes = Vec::new();
        let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    };
    let context = ca.context(WEB);
    for protocol in MeshProtocol::ALL {
        let bytes = hello(context.client(protocol).unwrap());
        assert!(bytes.len() < MAX_HELLO_BYTES);
        for cut in 0..bytes.len() {
            assert_eq!(mesh_hello(&bytes[..cut]), Hello::Incomplete, "{cut} bytes");
        }
        assert_eq!(mesh_hello(&bytes), Hello::Tls(Some(protocol)));
    }
    let own_tls = hello(Arc::new(issuer_client(&WEB.parse().unwrap(), &ca.bundle()).unwrap()));
    assert_eq!(mesh_hello(&own_tls), Hello::Tls(None));

    let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0x7f, 0xff];
    endless.resize(MAX_HELLO_BYTES, 0);
    let table: [(&str, &[u8], Hello<_>); 7] = [
        ("nothing yet", b"", Hello::Incomplete),
        ("HTTP", b"GET / HTTP/1.1\r\n", Hello::NotTls),
        ("HTTP/2 preface", b"PRI * HTTP/2.0", Hello::NotTls),
        ("one byte of a handshake", &[22], Hello::Incomplete),
        ("a record of version 0.0", &[22, 0, 0, 0, 5, 1, 2, 3, 4, 5], Hello::NotTls),
        ("no ClientHello", &[22, 3, 1, 0, 4, 2, 0, 0, 0], Hello::NotTls),
        ("never complete", &endless, Hello::NotTls),
    ];
    for (case, bytes, expected) in table {
        assert_eq!(mesh_hello(bytes), expected, "{case}");
    }
}
