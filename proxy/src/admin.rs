//! The administration port, on loopback alone: what the proxy believes, and its log filter.
//!
//! The pod's own containers can reach it and are trusted with it: it shows no secret, and changes nothing but the amount of logging.
//! A web page in a browser on the node could reach it too by pointing its own name at loopback (DNS rebinding), so the `Host` must name
//! loopback. The inbound side never delivers to loopback, so no peer gets here.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::server::{self, Answer, text};

/// Longest log filter accepted, in bytes; a filter names a few modules.
const FILTER_BYTES: usize = 512;

/// What the administration port answers from.
#[derive(Clone)]
pub(crate) struct Admin {
    /// Everything the proxy believes, as JSON: configuration, snapshot, certificate facts, readiness.
    pub(crate) dump: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Replaces the log filter; the error says what is wrong with it.
    pub(crate) set_log: SetLog,
}

/// Takes a log filter into use, or says why not.
pub(crate) type SetLog = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Serves the administration port until `shutdown`. The listener must be bound to a loopback address.
pub(crate) async fn serve(listener: TcpListener, admin: Admin, shutdown: CancellationToken) {
    server::serve(listener, shutdown, move |request| {
        let answer = admin.answer(&request);
        async move { answer }
    })
    .await;
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        if !names_loopback(request.headers()) || request.uri().authority().is_some() {
            return text(StatusCode::MISDIRECTED_REQUEST, "the Host header must be localhost or a loopback address\n");
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/config") => self.config(),
            (&Method::PUT, "/log") => self.log(request.uri().query()),
            (_, "/config") => text(StatusCode::METHOD_NOT_ALLOWED, "GET /config\n"),
            (_, "/log") => text(StatusCode::METHOD_NOT_ALLOWED, "PUT /log?filter=info,tulle_proxy=debug\n"),
            _ => text(StatusCode::NOT_FOUND, "GET /config or PUT /log?filter=...\n"),
        }
    }

    fn config(&self) -> Answer {
        let mut answer = text(StatusCode::OK, format!("{:#}\n", (self.dump)()));
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    fn log(&self, query: Option<&str>) -> Answer {
        let Some(filter) = query.and_then(|query| query.strip_prefix("filter=")) else {
            return text(StatusCode::BAD_REQUEST, "PUT /log?filter=info,tulle_proxy=debug\n");
        };
        // Filters are made of level names, module paths, ',' and '='. An escape would be for something else.
        if filter.is_empty() || filter.len() > FILTER_BYTES || filter.contains(['%', '&', '+']) {
            return text(StatusCode::BAD_REQUEST, "the filter must be unescaped and at most 512 bytes\n");
        }
        match (self.set_log)(filter) {
            Ok(()) => {
                tracing::info!(filter, "log filter replaced through the administration port");
                text(StatusCode::OK, "ok\n")
            }
            Err(reason) => text(StatusCode::BAD_REQUEST, reason + "\n"),
        }
    }
}

/// One `Host`, naming loopback, with any port (a person may come through `kubectl port-forward`).
fn names_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok()) else {
        return false;
    };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
