use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::https;
use crate::served_cert::ServedCert;
use crate::tls::server_config;

struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

fn pair() -> Pair {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["server.test".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .expect("a certificate");
    Pair { certificate, key }
}

fn install(served: &ServedCert, pair: &Pair) {
    served.replace(pair.certificate.pem().as_bytes(), pair.key.serialize_pem().as_bytes()).expect("a fitting pair");
}

async fn ask(address: std::net::SocketAddr, trusted: &Pair) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("server.test").expect("a name");
    let stream = TcpStream::connect(address).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn the_served_certificate_changes_without_a_restart() {
    let (first, second) = (pair(), pair());
    let served = ServedCert::empty();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let stop = CancellationToken::new();
    let routes = Router::new().route("/", get(|| async { "hello" }));
    let server = tokio::spawn(https(listener, server_config(served.clone()), routes, stop.clone()));

    assert!(ask(address, &first).await.is_err(), "nothing to serve yet");
    install(&served, &first);
    assert!(ask(address, &first).await.expect("served").ends_with("hello"));
    install(&served, &second);
    assert!(ask(address, &first).await.is_err(), "the first is no longer served");
    assert!(ask(address, &second).await.expect("served").ends_with("hello"));
    let mixed = served.replace(first.certificate.pem().as_bytes(), second.key.serialize_pem().as_bytes());
    assert!(mixed.is_err(), "a key of another certificate");
    assert!(ask(address, &second).await.expect("the last good pair stays").ends_with("hello"));

    stop.cancel();
    server.await.expect("no panic").expect("an orderly end");
}
