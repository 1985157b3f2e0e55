//! The control port: statistics out, rate and phases in.

use std::collections::HashMap;
use std::convert::Infallible;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;

use super::pacer::Pacer;
use super::stats::{self, Shared};

/// Listens for the life of the process.
pub(crate) async fn listen(port: u16, pacer: Pacer, stats: Shared) -> Result<()> {
    let listener = match TcpListener::bind(("::", port)).await {
        Ok(listener) => listener,
        Err(_) => {
            TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("cannot listen on port {port}"))?
        }
    };
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (pacer, stats) = (pacer.clone(), stats.clone());
            let service = service_fn(move |request| {
                let response = answer(&request, &pacer, &stats);
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(())
}

fn answer(request: &Request<Incoming>, pacer: &Pacer, stats: &Shared) -> Response<Full<Bytes>> {
    let query = parse_query(request.uri().query().unwrap_or_default());
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/stats") => json(&Stats { rps: pacer.rps(), report: stats::lock(stats).report() }),
        (&Method::GET, "/phases") => json(&stats::lock(stats).phases()),
        (&Method::GET, "/ids") => json(&stats::lock(stats).ids()),
        (&Method::POST, "/phase") => {
            stats::lock(stats).begin_phase(query.get("name").map_or("", String::as_str));
            json(&())
        }
        (&Method::POST, "/stop") => {
            pacer.stop();
            json(&())
        }
        (&Method::POST, "/start") => {
            let Some(rps) = query.get("rps").and_then(|rps| rps.parse().ok()).filter(|rps| *rps > 0.0) else {
                return refuse(StatusCode::BAD_REQUEST, "rps must be a number above 0");
            };
            if let Some(name) = query.get("phase") {
                stats::lock(stats).begin_phase(name);
            }
            pacer.start(rps, query.get("count").and_then(|count| count.parse().ok()));
            json(&())
        }
        _ => {
            refuse(StatusCode::NOT_FOUND, "GET /stats /phases /ids; POST /start?rps=&count=&phase= /stop /phase?name=")
        }
    }
}

#[derive(Serialize)]
struct Stats {
    /// Requests a second at the moment, 0 while stopped.
    rps: f64,
    #[serde(flatten)]
    report: stats::Report,
}

/// Names and numbers need no escapes, so none are known here.
fn parse_query(query: &str) -> HashMap<&str, String> {
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name, value.to_owned())).collect()
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    Response::new(Full::from(serde_json::to_vec(value).unwrap_or_default()))
}

fn refuse(status: StatusCode, sentence: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(sentence));
    *response.status_mut() = status;
    response
}
