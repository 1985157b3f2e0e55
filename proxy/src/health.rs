//! The health port: `/live`, `/ready`, `/metrics` and the kubelet's rewritten probes.
//!
//! It is reachable from everywhere and bypasses capture, so it is read-only, answers exact paths and GET alone, says nothing that a
//! stranger may not know, and is bounded ([`server`]).

pub(crate) mod server;

use std::sync::Arc;

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::PROBE_PATH_PREFIX;

use crate::probe::{Outcome, Prober};
use server::{Answer, text};

/// Media type of OpenMetrics 1.0.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Writes all metrics in the OpenMetrics text format.
pub(crate) type Metrics = Arc<dyn Fn(&mut String) + Send + Sync>;

/// What the proxy needs before a pod may receive traffic. Draining is no part of it: endpoints are removed by the pod's deletion, and
/// a draining proxy still accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Readiness {
    /// The redirect was proven.
    pub(crate) capture: bool,
    /// A certificate is installed and has not expired.
    pub(crate) certificate: bool,
    /// Policies and trust bundle were received.
    pub(crate) discovery: bool,
}

impl Readiness {
    /// Whether nothing is missing.
    pub(crate) fn is_ready(self) -> bool {
        self.missing().next().is_none()
    }

    /// What is missing, each with what it waits for.
    pub(crate) fn missing(self) -> impl Iterator<Item = &'static str> {
        [
            (self.capture, "capture: the redirect of the pod's traffic is not proven"),
            (self.certificate, "certificate: none that is valid was issued"),
            (self.discovery, "discovery: policies and trust bundle were not received"),
        ]
        .into_iter()
        .filter_map(|(met, what)| (!met).then_some(what))
    }
}

/// What the health port answers from.
#[derive(Clone)]
pub(crate) struct Health {
    /// The parts of readiness.
    pub(crate) ready: watch::Receiver<Readiness>,
    /// The metrics.
    pub(crate) metrics: Metrics,
    /// The probes.
    pub(crate) prober: Arc<Prober>,
}

/// Serves the health port until `shutdown`.
pub(crate) async fn serve(listener: TcpListener, health: Health, shutdown: CancellationToken) {
    server::serve(listener, shutdown, move |request| {
        let health = health.clone();
        async move { health.answer(request).await }
    })
    .await;
}

impl Health {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        // An absolute-form target (a proxy request) has an authority: this is no proxy for anybody.
        if request.method() != Method::GET || request.uri().authority().is_some() {
            return not_found();
        }
        match request.uri().path() {
            "/live" => text(StatusCode::OK, "live\n"),
            "/ready" => self.readiness(),
            "/metrics" => self.scrape(),
            path if path.starts_with(PROBE_PATH_PREFIX) && request.uri().query().is_none() => self.probe(path).await,
            _ => not_found(),
        }
    }

    fn readiness(&self) -> Answer {
        let readiness = *self.ready.borrow();
        if readiness.is_ready() {
            return text(StatusCode::OK, "ready\n");
        }
        let missing: String = readiness.missing().map(|what| format!("{what}\n")).collect();
        text(StatusCode::SERVICE_UNAVAILABLE, missing)
    }

    fn scrape(&self) -> Answer {
        let mut body = String::new();
        (self.metrics)(&mut body);
        let mut answer = text(StatusCode::OK, body);
        answer.headers_mut().insert(header::CONTENT_TYPE, OPEN_METRICS);
        answer
    }

    async fn probe(&self, path: &str) -> Answer {
        match self.prober.run(path).await {
            Outcome::Unknown => not_found(),
            Outcome::Busy => text(StatusCode::TOO_MANY_REQUESTS, "too many probes at once\n"),
            Outcome::Healthy => text(StatusCode::OK, "ok\n"),
            Outcome::Unhealthy(reason) => {
                tracing::debug!(path, reason, "probe failed");
                text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n")
            }
        }
    }
}

fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "not found\n")
}

#[cfg(test)]
pub(crate) mod tests;
