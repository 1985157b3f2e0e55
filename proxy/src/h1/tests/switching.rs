//! Connections that become streams of bytes, and those that only seem to.

use tokio::io::AsyncWriteExt;
use tulle_core::authz::{Action, Operation, Pattern, Rule};

use super::super::testing::{End, application, echo_paths, ok, path};
use crate::testing::{Mesh, authorized};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Agrees to whatever it is asked, says hello, and sends every byte back.
async fn agreeable(mut end: End) {
    let head = end.head().await;
    if head.starts_with("CONNECT") {
        assert!(head.starts_with("CONNECT db.shop:5432 HTTP/1.1\r\nhost: db.shop:5432\r\n"), "{head}");
        end.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    } else {
        assert!(head.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
        end.send(format!("{AGREED}hello")).await;
    }
    let all = end.rest().await;
    end.send(all).await;
}

#[tokio::test]
async fn after_the_agreement_bytes_flow_with_half_close() {
    let mesh = Mesh::new(&[application(agreeable).await], None);
    for (request, answer) in
        [(UPGRADE, AGREED), ("CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n")]
    {
        let mut caller = End::dial(mesh.service).await;
        // Bytes that are sent ahead are the new protocol's.
        caller.send(format!("{request}GET / HTTP/1.1\r\n")).await;
        caller.expect(&format!("{answer}hello")).await;
        caller.send("\r\nmore").await;
        caller.stream.shutdown().await.unwrap();
        assert_eq!(caller.rest().await, b"GET / HTTP/1.1\r\n\r\nmore");
    }
}

#[tokio::test]
async fn without_an_agreement_what_follows_is_a_request() {
    let mesh = Mesh::new(&[application(echo_paths).await], None);
    let mut caller = End::dial(mesh.service).await;
    caller.send(format!("{UPGRADE}GET /next HTTP/1.1\r\nHost: web\r\n\r\n")).await;
    caller.expect(&ok("/chat")).await;
    caller.expect(&ok("/next")).await;
}

#[tokio::test]
async fn a_change_that_nobody_asked_for_is_refused() {
    let app = application(|mut end: End| async move {
        end.head().await;
        end.send(AGREED).await;
        assert!(end.rest().await.is_empty(), "nothing follows");
    });
    let mesh = Mesh::new(&[app.await], None);
    for request in [
        "GET / HTTP/1.1\r\nHost: web\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    ] {
        let mut caller = End::dial(mesh.service).await;
        caller.send(format!("{request}GET /smuggled HTTP/1.1\r\n")).await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 502") && head.contains("bad-response; code=TUL2013"), "{head}");
    }
}

#[tokio::test]
async fn a_tunnel_must_be_allowed_as_bytes() {
    let rule = |methods: &[&str]| {
        let methods = methods.iter().map(|method| Pattern::Exact((*method).into())).collect();
        Rule { from: Vec::new(), to: vec![Operation { methods, ..Operation::default() }] }
    };
    let allowing = authorized(Action::Allow, vec![rule(&["GET", "CONNECT"])]);
    for policies in [authorized(Action::Deny, vec![rule(&["DELETE"])]), allowing] {
        let mesh = Mesh::guarded(&[application(echo_paths).await], None, policies);
        let mut caller = End::dial(mesh.service).await;
        caller.send("GET /a HTTP/1.1\r\nHost: web\r\n\r\n").await;
        caller.expect(&ok("/a")).await;
        // Within the tunnel the method would be nobody's business.
        caller.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n").await;
        let head = caller.head().await;
        assert!(head.starts_with("HTTP/1.1 403") && path(&head) == "403", "{head}");
    }
}
