//! Rules for bytes over real sockets: the application's own TLS, by rustls on both sides, and connections that are none.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::aws_lc_rs::hpke::ALL_SUPPORTED_SUITES;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tulle_core::route::bytes::{ByteMatch, ByteRule, ByteTable, SniHost};
use tulle_core::snapshot::Protocol;
use tulle_core::split::{Split, Weight};

use super::*;
use crate::h1::testing::soon;
use crate::testing::Mesh;
use crate::tls::provider;
use crate::tls::testing::{Leaf, TestCa, private};

/// More than any buffer on the way holds.
const BODY_BYTES: usize = 3 << 20;

fn body() -> Vec<u8> {
    (0..BODY_BYTES).map(|index| (index % 251) as u8).collect()
}

fn sni(hosts: &[&str]) -> ByteMatch {
    let sni_hosts = hosts.iter().map(|host| SniHost::new(host).unwrap()).collect();
    ByteMatch { sni_hosts, ..ByteMatch::default() }
}

fn subnet(net: &str) -> ByteMatch {
    ByteMatch { destination_subnets: vec![net.parse().unwrap()], ..ByteMatch::default() }
}

fn rule(name: &str, matches: Vec<ByteMatch>, to: usize) -> ByteRule<usize> {
    ByteRule { name: name.into(), matches, to: Some(Split::single(to)) }
}

/// Names to the second application, all other TLS to the third, bytes of these networks to the fourth. What is left is for the first.
fn table() -> ByteTable<usize> {
    ByteTable {
        tls: vec![
            rule("tls[0]", vec![sni(&["one.example", "*.one.example"])], 1),
            rule("tls[1]", vec![sni(&["two.example"])], 2),
            rule("tls[2]", vec![sni(&["*.two.example"])], 2),
        ],
        tcp: vec![rule("tcp[0]", vec![subnet("10.0.0.0/8")], 2), rule("tcp[1]", vec![subnet("127.0.0.0/8")], 3)],
    }
}

/// Sends everything back after its first words.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: String) {
    stream.write_all(words.as_bytes()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await.unwrap();
    write.shutdown().await.unwrap();
}

/// Applications that say which they are when a client has spoken, and then send everything back, as they got it: four of them.
async fn applications() -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for index in 0..4 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.readable().await.unwrap();
                    echo(stream, index.to_string()).await;
                });
            }
        });
    }
    addresses
}

/// Four servers of TLS, all of which may answer for every name; each says which it is and for whom it was asked.
async fn servers(ca: &TestCa) -> Vec<SocketAddr> {
    let key = KeyPair::generate().unwrap();
    let dns =
        ["one.example", "a.one.example", "two.example", "a.two.example", "three.example"].map(str::to_owned).to_vec();
    let chain = ca.sign(&Leaf { uris: Vec::new(), dns, ..Leaf::of("") }, &key);
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, private(&key)).unwrap()));
    let mut addresses = Vec::new();
    for index in 0..4 {
        let (listener, acceptor) = (TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), acceptor.clone());
        addresses.push(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let asked = stream.get_ref().1.server_name().unwrap_or("nobody").to_owned();
                    echo(stream, format!("{index} {asked} ")).await;
                });
            }
        });
    }
    addresses
}

/// A client that trusts this CA, without and with a made-up Encrypted ClientHello.
fn clients(ca: &TestCa) -> [Arc<ClientConfig>; 2] {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap()).unwrap();
    let suite = ALL_SUPPORTED_SUITES[0];
    let grease = EchMode::Grease(EchGreaseConfig::new(suite, suite.generate_key_pair().unwrap().0));
    let config = || ClientConfig::builder_with_provider(provider());
    [config().with_safe_default_protocol_versions().unwrap(), config().with_ech(grease).unwrap()]
        .map(|config| Arc::new(config.with_root_certificates(roots.clone()).with_no_client_auth()))
}

/// Everything that comes back for `body`, ended by the client.
async fn exchange(stream: impl AsyncRead + AsyncWrite, body: Vec<u8>) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(stream);
    let sending = async {
        write.write_all(&body).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    soon(async { tokio::join!(sending, read.read_to_end(&mut got)).1.unwrap() }).await;
    got
}

async fn dial(mesh: &Mesh) -> TcpStream {
    let stream = TcpStream::connect(mesh.service).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The bytes of a ClientHello for a server.
fn hello(server: &str) -> Vec<u8> {
    let [config, _] = clients(&TestCa::new("another"));
    let mut bytes = Vec::new();
    let server = ServerName::try_from(server.to_owned()).unwrap();
    rustls::ClientConnection::new(config, server).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// What an application that is given bytes says, with these bytes.
fn given(index: usize, bytes: &[u8]) -> Vec<u8> {
    [index.to_string().as_bytes(), bytes].concat()
}

/// How often each rule's connections were counted, by the name of the rule and the backend.
fn counted(mesh: &Mesh) -> Vec<(String, String, u64)> {
    let series = mesh.caller.metrics.lock();
    let mut counted = Vec::new();
    for (labels, cells) in &series.tcp {
        counted.push((labels.route.to_string(), labels.backend.to_string(), cells.opened.get()));
    }
    counted.sort();
    counted
}

#[tokio::test]
async fn tls_of_the_application_passes_unopened_to_the_server_it_names() {
    let ca = TestCa::new("the application's own");
    let servers = servers(&ca).await;
    let rows =
        [("one.example", 1), ("a.one.example", 1), ("two.example", 2), ("a.two.example", 2), ("three.example", 3)];
    for protocol in [Protocol::Tls, Protocol::Detect] {
        let mesh = Mesh::passing(&servers, protocol, table());
        for (name, index) in rows {
            for config in clients(&ca) {
                let server = ServerName::try_from(name).unwrap();
                let stream = soon(TlsConnector::from(config).connect(server, dial(&mesh).await)).await.unwrap();
                let got = exchange(stream, body()).await;
                let expected = [format!("{index} {name} ").into_bytes(), body()].concat();
                assert!(
                    got == expected,
                    "{protocol:?} {name}: {:?}",
                    String::from_utf8_lossy(&got[..got.len().min(32)])
                );
            }
        }
        let row = |route: &str, backend: &str, count| (route.to_owned(), backend.to_owned(), count);
        assert_eq!(
            counted(&mesh),
            [
                row("tcp[1]", "app-3", 2),
                row("tls[0]", "app-1", 4),
                row("tls[1]", "app-2", 2),
                row("tls[2]", "app-2", 2)
            ]
        );
    }
}

#[tokio::test]
async fn each_opening_goes_where_its_rule_says_byte_by_byte() {
    let mut endless = vec![22, 3, 1, 0x40, 0, 1, 0, 0x7f, 0xff];
    endless.resize(2 * MAX_HELLO_BYTES, 7);
    let unnamed = hello("127.0.0.1");
    let any = || ByteTable { tls: vec![rule("any", vec![sni(&["*"])], 2)], ..ByteTable::default() };
    let only = || ByteTable { tls: table().tls, ..ByteTable::default() };
    let rows = [
        ("a name", Protocol::Tls, table(), hello("two.example"), 2),
        ("a name that no rule has", Protocol::Tls, only(), hello("three.example"), 0),
        ("no name", Protocol::Tls, table(), unnamed.clone(), 3),
        ("no name, where any fits", Protocol::Tls, any(), unnamed, 2),
        ("a ClientHello without end", Protocol::Tls, table(), endless.clone(), 3),
        ("one where no rule is for bytes", Protocol::Detect, any(), endless, 0),
        ("a port of bytes, where nobody looks", Protocol::Tcp, table(), hello("two.example"), 3),
        ("no TLS on a port of TLS", Protocol::Tls, table(), b"hello, world".to_vec(), 3),
        ("no TLS where nothing is declared", Protocol::Detect, table(), b"hello, world".to_vec(), 3),
        ("no TLS where any name fits", Protocol::Detect, any(), b"hello, world".to_vec(), 0),
    ];
    let applications = applications().await;
    for (case, protocol, rules, bytes, index) in rows {
        let mesh = Mesh::passing(&applications, protocol, rules);
        let got = exchange(dial(&mesh).await, [bytes.clone(), body()].concat()).await;
        assert!(got == given(index, &[bytes, body()].concat()), "{case}: {:?}", got.first());
    }
}

#[tokio::test]
async fn a_hello_in_pieces_is_waited_for() {
    let applications = applications().await;
    let bytes = hello("two.example");
    for protocol in [Protocol::Tls, Protocol::Detect] {
        let mesh = Mesh::passing(&applications, protocol, table());
        for cut in [1, 5, 9, 60, bytes.len() - 1] {
            let mut stream = dial(&mesh).await;
            stream.write_all(&bytes[..cut]).await.unwrap();
            // The proxy has one thread, so it has seen the first piece once another connection is served.
            assert_eq!(exchange(dial(&mesh).await, b"x".to_vec()).await, given(3, b"x"));
            assert_eq!(exchange(stream, bytes[cut..].to_vec()).await, given(2, &bytes), "{protocol:?}, cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_silent_at_first_is_heard_when_it_speaks() {
    let (opened, mut dialled) = tokio::sync::mpsc::unbounded_channel();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut applications = applications().await;
    applications[3] = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            opened.send(()).unwrap();
            tokio::spawn(echo(stream, String::new()));
        }
    });
    let mesh = Mesh::passing(&applications, Protocol::Detect, table());
    let named = hello("two.example");
    for (bytes, expected) in [(named.clone(), given(2, &named)), (b"x".to_vec(), b"x".to_vec())] {
        let stream = dial(&mesh).await;
        soon(dialled.recv()).await.expect("the server of bytes is dialled meanwhile");
        assert_eq!(exchange(stream, bytes).await, expected);
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_kept_waiting_by_rules_for_names() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut applications = applications().await;
    applications[3] = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        echo(stream, "220 ready ".to_owned()).await;
    });
    let mesh = Mesh::passing(&applications, Protocol::Detect, table());
    let mut stream = dial(&mesh).await;
    let mut greeting = [0; 10];
    soon(stream.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"220 ready ");
    assert_eq!(exchange(stream, b"EHLO".to_vec()).await, b"EHLO");
}

#[tokio::test]
async fn connections_are_shared_by_weight() {
    let shares = Split::new([(1, Weight(1)), (2, Weight(3)), (3, Weight(0))]).unwrap();
    let rules = vec![ByteRule { name: "tcp[0]".into(), matches: Vec::new(), to: Some(shares) }];
    let mesh = Mesh::passing(&applications().await, Protocol::Tcp, ByteTable { tcp: rules, ..ByteTable::default() });
    let mut counts = [0; 4];
    for _ in 0..400 {
        let got = exchange(dial(&mesh).await, b"x".to_vec()).await;
        counts[usize::from(got[0] - b'0')] += 1;
    }
    // 100 expected, with a standard deviation of 8.7.
    assert!((40..=160).contains(&counts[1]) && counts[1] + counts[2] == 400, "{counts:?}");
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_closes_what_fits_it_and_nothing_else() {
    let unreadable = |net: &str| ByteRule { to: None, ..rule("tcp[0]", vec![subnet(net)], 0) };
    let meshed = async |net: &str| {
        let tcp = vec![unreadable(net), rule("tcp[1]", Vec::new(), 1)];
        Mesh::passing(&applications().await, Protocol::Tcp, ByteTable { tcp, ..ByteTable::default() })
    };
    let mesh = meshed("10.0.0.0/8").await;
    assert_eq!(exchange(dial(&mesh).await, b"x".to_vec()).await, b"1x");

    let mesh = meshed("127.0.0.0/8").await;
    let (mut stream, mut got) = (dial(&mesh).await, Vec::new());
    // The connection may be reset before the byte is sent, or after.
    let _ = stream.write_all(b"x").await;
    let _ = soon(stream.read_to_end(&mut got)).await;
    assert_eq!(got, b"");
    let counted = || mesh.caller.metrics.lock().refusals.keys().any(|labels| labels.reason == "invalid-rule");
    soon(async {
        while !counted() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_closes_without_a_word_is_not_passed_on() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (dialler, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    drop(dialler.unwrap());
    assert!(soon(hear(&accepted.unwrap().0)).await.is_none());
}

#[tokio::test]
async fn a_hello_that_stops_half_way_becomes_bytes() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (dialler, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let mut dialler = dialler.unwrap();
    dialler.write_all(&hello("two.example")[..40]).await.unwrap();
    let heard = soon(hear_within(&accepted.unwrap().0, Duration::from_millis(1))).await;
    assert!(matches!(heard, Some(Heard::Other)), "{heard:?}");
}
