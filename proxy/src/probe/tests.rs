use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, HeaderValue, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn run(action: ProbeAction, timeout_seconds: u32) -> Outcome {
    let probe = Probe { action, timeout_seconds };
    Prober::new([("app/readinessProbe".to_owned(), probe)].into(), LOOPBACK).run("/probe/app/readinessProbe").await
}

fn unhealthy(outcome: &Outcome, word: &str) -> bool {
    matches!(outcome, Outcome::Unhealthy(reason) if reason.contains(word))
}

/// An application that reads one request and answers these bytes; returns its port and what it read.
async fn application(answer: &'static [u8]) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        *kept.lock().unwrap() = String::from_utf8(request).unwrap();
        stream.write_all(answer).await.unwrap();
        // Until the prober hangs up.
        let _ = stream.read_u8().await;
    });
    (port, seen)
}

fn get(port: u16) -> ProbeAction {
    ProbeAction::HttpGet { port, path: "/healthz?deep=1".into(), https: false, headers: vec![] }
}

#[tokio::test]
async fn http_is_healthy_from_200_to_399() {
    let table: [(&[u8], &str); 9] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 399 Odd\r\ncontent-length: 0\r\n\r\n", ""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil close", "did not answer"), // the application keeps the connection open
        (b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n", "answered 400"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "answered 503"),
        (b"SSH-2.0-OpenSSH\r\n", "broke the HTTP exchange"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", "did not answer"),
    ];
    for (answer, word) in table {
        let (port, _) = application(answer).await;
        let outcome = run(get(port), 1).await;
        let text = String::from_utf8_lossy(answer);
        if word.is_empty() {
            assert_eq!(outcome, Outcome::Healthy, "{text}");
        } else {
            assert!(unhealthy(&outcome, word), "{text}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn the_request_is_the_probes_own() {
    let ok: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (port, seen) = application(ok).await;
    assert_eq!(run(get(port), 5).await, Outcome::Healthy);
    let request = seen.lock().unwrap().clone();
    assert!(request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{request}");
    for line in [format!("host: 127.0.0.1:{port}"), "user-agent: kube-probe/tulle".into(), "connection: close".into()] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }

    let (port, seen) = application(ok).await;
    let headers = [("Host", "shop.example"), ("X-Token", "a"), ("X-Token", "b"), ("User-Agent", "mine")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let action = ProbeAction::HttpGet { port, path: "no-slash".into(), https: false, headers };
    assert_eq!(run(action, 5).await, Outcome::Healthy);
    let request = seen.lock().unwrap().to_lowercase();
    assert!(request.starts_with("get /no-slash http/1.1\r\n"), "{request}");
    for line in ["host: shop.example", "x-token: a", "x-token: b", "user-agent: mine"] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert_eq!(request.matches("host:").count(), 1);
}

#[tokio::test]
async fn a_large_body_is_not_read_to_its_end() {
    let (port, _) = application(Box::leak({
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n".to_vec();
        answer.resize(answer.len() + 64 * 1024, b'x');
        answer.into_boxed_slice()
    }))
    .await;
    assert_eq!(run(get(port), 5).await, Outcome::Healthy);
}

#[tokio::test]
async fn https_is_not_verified() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["wrong.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_u8().await;
    });
    let action = ProbeAction::HttpGet { port, path: "/".into(), https: true, headers: vec![] };
    assert_eq!(run(action, 5).await, Outcome::Healthy);
}

#[tokio::test]
async fn tcp_is_healthy_when_the_application_listens() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(run(ProbeAction::TcpSocket { port }, 1).await, Outcome::Healthy);
    drop(listener);
    assert!(unhealthy(&run(ProbeAction::TcpSocket { port }, 1).await, "cannot connect"));
}

#[tokio::test]
async fn undeclared_probes_are_unknown_and_a_crowd_is_sent_away() {
    let prober = Prober::new([].into(), LOOPBACK);
    assert_eq!(prober.run("/probe/app/readinessProbe").await, Outcome::Unknown);
    let probe = Probe { action: ProbeAction::TcpSocket { port: 1 }, timeout_seconds: 1 };
    let prober = Prober::new([("a/b".to_owned(), probe)].into(), LOOPBACK);
    let _all = prober.slots.acquire_many(CONCURRENT as u32).await.unwrap();
    assert_eq!(prober.run("/probe/a/b").await, Outcome::Busy);
}

/// A gRPC health service on a real HTTP/2 server: knows `ready` and `down`, answers status 5 for others.
async fn grpc_application() -> u16 {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(health_service);
            tokio::spawn(async move {
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    port
}

type GrpcBody = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn health_service(request: Request<Incoming>) -> Result<Response<GrpcBody>, Infallible> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let message = request.into_body().collect().await.unwrap().to_bytes();
    let service = message.get(7..).map(|name| String::from_utf8(name.to_vec()).unwrap()).unwrap_or_default();
    let serving = match service.as_str() {
        "" | "ready" => 1,
        "down" => 2,
        _ => {
            let mut answer = Response::new(Full::default().boxed());
            answer.headers_mut().insert("grpc-status", HeaderValue::from_static("5"));
            return Ok(answer);
        }
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let data = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, serving]);
    let frames = futures_util::stream::iter([Ok(Frame::data(data)), Ok(Frame::trailers(trailers))]);
    Ok(Response::new(BodyExt::boxed(StreamBody::new(frames))))
}

#[tokio::test]
async fn grpc_is_healthy_when_serving() {
    let port = grpc_application().await;
    let table = [("", ""), ("ready", ""), ("down", "serving status 2"), ("unknown", "does not know the service")];
    for (service, word) in table {
        let outcome = run(ProbeAction::Grpc { port, service: service.into() }, 5).await;
        if word.is_empty() {
            assert_eq!(outcome, Outcome::Healthy, "{service:?}");
        } else {
            assert!(unhealthy(&outcome, word), "{service:?}: {outcome:?}");
        }
    }
    let (port, _) = application(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(unhealthy(&run(ProbeAction::Grpc { port, service: String::new() }, 2).await, "gRPC"));
}
