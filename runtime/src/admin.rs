//! The administration port of a control-plane process: `/live`, `/ready`, `/metrics`. Read-only, because everybody in
//! the cluster may reach it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Media type of [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The named conditions of readiness. Cloning gives another handle to the same set.
#[derive(Clone, Default)]
pub struct Checks(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Checks {
    /// Adds a condition that is unmet until its [`Check`] says otherwise.
    #[must_use]
    pub fn register(&self, name: &'static str) -> Check {
        let check = Check { name, checks: self.clone() };
        check.unmet("starting");
        check
    }

    /// The unmet conditions, each as `name: why`.
    #[must_use]
    pub fn unmet(&self) -> Vec<String> {
        let checks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().filter_map(|(name, why)| Some(format!("{name}: {}", why.as_ref()?))).collect()
    }
}

/// One condition of readiness, in the hand of the part that knows.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    checks: Checks,
}

impl Check {
    /// The condition holds.
    pub fn met(&self) {
        self.set(None);
    }

    /// The condition does not hold; `why` is shown to whoever asks `/ready`, so it holds no secret.
    pub fn unmet(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        self.checks.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, why);
    }
}

/// Serves the administration port until `stop`. Liveness is that this answers at all: the process has no state that a
/// restart would mend while its runtime still turns.
///
/// # Errors
/// As [`serve::http`](crate::serve::http).
pub async fn serve(
    listener: TcpListener,
    checks: Checks,
    metrics: Arc<Registry>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    crate::serve::http(listener, routes(checks, metrics), stop).await
}

/// The three routes, for a process that serves them beside its own.
pub fn routes(checks: Checks, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready).with_state(checks))
        .route("/metrics", get(scrape).with_state(metrics))
}

async fn ready(State(checks): State<Checks>) -> Response {
    let unmet = checks.unmet();
    if unmet.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, unmet.join("\n") + "\n").into_response()
}

async fn scrape(State(metrics): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics not encoded: {error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;
