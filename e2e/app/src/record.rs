//! A server on hyper, HTTP/1 and HTTP/2 with prior knowledge, that says which requests it saw, one JSON line each.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, arguments.port)).await.context("cannot listen")?;
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // A connection that broke is the peer's to complain about.
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(see)).await;
        });
    }
}

async fn see(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let (mut hex, mut cut) = (String::new(), false);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            cut = true;
            break;
        };
        for byte in frame.data_ref().into_iter().flatten() {
            let _ = write!(hex, "{byte:02x}"); // a String takes everything
        }
    }
    let host = head.headers.get(HOST).map(|host| latin1(host.as_bytes()));
    let host = head.uri.authority().map(|authority| authority.as_str().to_owned()).or(host);
    let fields: Vec<_> = head.headers.iter().map(|(name, value)| (name.as_str(), latin1(value.as_bytes()))).collect();
    let target = head.uri.path_and_query().map_or_else(String::new, |target| latin1(target.as_str().as_bytes()));
    let line = serde_json::json!({
        "method": head.method.as_str(), "target": target, "host": host, "fields": fields, "body": hex, "cut": cut,
    });
    if let Err(error) = output::json(&line) {
        output::complain(&format!("{error:#}"));
    }
    Ok(Response::new(Full::from("seen")))
}

/// Each byte as the character of that number, so that JSON carries it.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
