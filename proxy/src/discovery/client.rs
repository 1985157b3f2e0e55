//! The way to the API server: one HTTP/2 connection, on which every watch and every question is a stream.
//!
//! kube's own client speaks HTTP/1.1 and would open a connection a watch, so its configuration (CA and token files, re-read as
//! they rotate) is put on a connector of ours. A silent connection is found by HTTP/2 pings, not by waiting for a watch to end.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use tower::{BoxError, ServiceBuilder};

use super::reach::Reach;
use crate::sentence;

/// A dead connection is noticed after the interval and the timeout, 25 s, well under the 45 s that are promised.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a TCP connection to the API server; within a cluster it takes under 10 ms.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the head of an answer, connecting included. A watch sends its head at once, its events later.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes in flight towards us on one stream and on the connection: an EndpointSlice of 1,000 endpoints is ≈ 400 KB, and no
/// watch can hold up the others for longer than one such event.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Watches on one connection. API servers allow 100 streams or more (`--http2-max-streams-per-connection`); the rest is room
/// for lookups. A pod that uses more than ≈ 20 namespaces opens a second connection.
const WATCHES_PER_CONNECTION: usize = 80;

/// Where the API server is and how to be admitted.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `https://host:port`.
    pub(crate) url: http::Uri,
    /// Bearer token, re-read every minute.
    pub(crate) token_file: PathBuf,
    /// CA certificates, re-read every minute.
    pub(crate) ca_file: PathBuf,
}

/// Clients by connection.
pub(crate) struct Clients {
    access: Access,
    reach: Reach,
    connections: Vec<kube::Client>,
}

impl Clients {
    pub(crate) fn new(access: Access, reach: Reach) -> Self {
        Self { access, reach, connections: Vec::new() }
    }

    /// The client for a lookup, or for one more watch when `watches` are running. Fails while the token or the CA cannot be
    /// read; nothing is kept of a failed attempt.
    pub(crate) fn get(&mut self, watches: usize) -> Result<kube::Client, BoxError> {
        let wanted = watches / WATCHES_PER_CONNECTION;
        while self.connections.len() <= wanted {
            self.connections.push(connect(&self.access, &self.reach)?);
        }
        Ok(self.connections[wanted].clone())
    }
}

fn connect(access: &Access, reach: &Reach) -> Result<kube::Client, BoxError> {
    let mut config = kube::Config::new(access.url.clone());
    config.root_cert = Some(Vec::new()); // no certificate but those of the file
    config.root_cert_file = Some(access.ca_file.clone());
    config.auth_info.token_file = Some(access.token_file.to_string_lossy().into_owned());

    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let tls = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_only()
        .enable_http2()
        .wrap_connector(tcp);
    let http = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_only(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(tls);
    let reach = reach.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .map_result(move |answer: Result<http::Response<_>, BoxError>| {
            match &answer {
                Ok(answer) if answer.status().is_server_error() => {
                    reach.failed(&format!("it answers {}", answer.status()))
                }
                Ok(_) => reach.answered(),
                Err(error) => reach.failed(&sentence::of_error(error.as_ref())),
            }
            answer
        })
        .timeout(HEAD_TIMEOUT)
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// What went wrong with a request, in one line. An answer speaks for itself; of a request without one the causes are told, since
/// hyper's own words stop at "client error (Connect)".
pub(crate) fn trouble(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server answers {}: {}", status.code, status.message),
        error => sentence::of_error(error),
    }
}
