use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tulle_core::sidecar::{Probe, ProbeAction};

use super::*;

/// Longest wait of a test for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends one request without a body on a connection of its own: status, and the whole answer as text.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let head = request.strip_suffix("\r\n\r\n").expect("a whole head");
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = timeout(DEADLINE, talk).await.expect("an answer in time");
    let status =
        answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status for {request:?}: {answer:?}")).parse().unwrap();
    (status, answer)
}

async fn start(table: BTreeMap<String, Probe>) -> (SocketAddr, watch::Sender<Readiness>, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ready_tx, ready) = watch::channel(Readiness::default());
    let prober = Arc::new(Prober::new(table, "127.0.0.1".parse().unwrap()));
    let health = Health { ready, metrics: Arc::new(|out| out.push_str("tulle_up 1\n# EOF\n")), prober };
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, health, stop.clone()));
    (address, ready_tx, stop)
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let (address, ready, _stop) = start(BTreeMap::new()).await;
    let get = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";
    let (status, body) = ask(address, get).await;
    assert_eq!(status, 503);
    assert!(["capture", "certificate", "discovery"].iter().all(|part| body.contains(part)), "{body}");
    ready.send_replace(Readiness { capture: true, certificate: false, discovery: true });
    let (status, body) = ask(address, get).await;
    assert!(status == 503 && body.contains("certificate") && !body.contains("capture"), "{body}");
    ready.send_replace(Readiness { capture: true, certificate: true, discovery: true });
    assert_eq!(ask(address, get).await.0, 200);
}

#[tokio::test]
async fn only_declared_paths_by_get_are_served() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let probe = Probe { action: ProbeAction::TcpSocket { port: closed }, timeout_seconds: 1 };
    let (address, _ready, stop) = start([("web/livenessProbe".to_owned(), probe)].into()).await;
    let table = [
        ("GET /live", 200),
        ("GET /metrics", 200),
        ("GET /probe/web/livenessProbe", 503),
        ("GET /probe/web/readinessProbe", 404),
        ("GET /probe/web/livenessProbe?port=22", 404),
        ("GET /probe/other/livenessProbe", 404),
        ("GET /probe/web/livenessProbe/../../x", 404),
        ("GET /probe//web/livenessProbe", 404),
        ("GET /probe", 404),
        ("GET /probes", 404),
        ("GET /probeweb/livenessProbe", 404),
        ("GET /", 404),
        ("GET http://169.254.169.254/live", 404),
        ("HEAD /live", 404),
        ("POST /live", 404),
        ("PUT /probe/web/livenessProbe", 404),
        ("DELETE /metrics", 404),
        ("OPTIONS *", 404),
        ("CONNECT 127.0.0.1:22", 404),
    ];
    for (line, status) in table {
        let request = format!("{line} HTTP/1.1\r\nHost: anything\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
        assert_eq!(ask(address, &request).await.0, status, "{line}");
    }
    let (_, body) = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(body.contains("openmetrics-text") && body.contains("tulle_up 1"), "{body}");
    stop.cancel();
}
