use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Checks, serve};

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn the_three_pages() {
    let checks = Checks::default();
    let check = checks.register("issuer");
    let mut registry = Registry::with_prefix("tulle");
    let things = Counter::<u64>::default();
    things.inc();
    registry.register("things", "Things seen", things);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, checks, Arc::new(registry), stop.clone()));

    assert!(get(address, "/live").await.starts_with("HTTP/1.1 200"));
    let unready = get(address, "/ready").await;
    assert!(unready.starts_with("HTTP/1.1 503") && unready.ends_with("issuer: starting\n"), "{unready}");
    check.met();
    assert!(get(address, "/ready").await.starts_with("HTTP/1.1 200"));
    check.unmet("no CA");
    assert!(get(address, "/ready").await.ends_with("issuer: no CA\n"));
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("tulle_things_total 1") && metrics.contains("openmetrics-text"), "{metrics}");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));

    stop.cancel();
    server.await.expect("no panic").expect("an orderly end");
}
