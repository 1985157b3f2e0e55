use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::health::tests::ask;

#[tokio::test]
async fn requests_are_answered_by_the_table() {
    let filters = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&filters);
    let admin = Admin {
        dump: Arc::new(|| serde_json::json!({"workers": 1})),
        set_log: Arc::new(move |filter: &str| {
            if filter == "nonsense=" {
                return Err("no such level".to_owned());
            }
            seen.lock().unwrap().push(filter.to_owned());
            Ok(())
        }),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, admin, stop.clone()));

    let long = format!("PUT /log?filter={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(513));
    let table = [
        ("GET /config HTTP/1.1\r\nHost: localhost:15000\r\n\r\n", 200, "\"workers\": 1"),
        ("GET /config HTTP/1.1\r\nHost: 127.0.0.1:15000\r\n\r\n", 200, ""),
        ("GET /config HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200, ""),
        ("GET /config HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "Host"),
        ("GET /config HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421, ""),
        ("GET /config HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421, ""),
        ("GET /config HTTP/1.1\r\nHost: 10.0.0.1:15000\r\n\r\n", 421, ""),
        ("GET /config HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421, ""),
        ("GET /config HTTP/1.0\r\n\r\n", 421, ""),
        ("GET http://localhost/config HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, ""),
        ("POST /config HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, ""),
        ("GET /log?filter=debug HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "PUT"),
        ("PUT /log?filter=info,tulle_proxy::http=debug HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, ""),
        ("PUT /log?filter=nonsense= HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "no such level"),
        ("PUT /log HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""),
        ("PUT /log?filter=a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""),
        (&long, 400, "512"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, ""),
    ];
    for (request, status, word) in table {
        let (got, body) = ask(address, request).await;
        assert_eq!(got, status, "{request}");
        assert!(body.contains(word), "{request}: {body}");
    }
    assert_eq!(*filters.lock().unwrap(), ["info,tulle_proxy::http=debug"]);
    stop.cancel();
    server.await.unwrap();
}
