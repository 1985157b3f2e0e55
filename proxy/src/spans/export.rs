//! Sends spans to the collector: OTLP over HTTP, in batches, each tried twice.
//!
//! A collector that refuses or is away is warned of twice a minute at most, and what it did not get is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::otlp::{self, Resource, Response};
use super::{Ended, Spans};
use crate::config::Pod;
use crate::sentence;

/// Spans in one request: a few hundred KiB.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// For one attempt, and for all that is left when the proxy leaves.
const LIMIT: Duration = Duration::from_secs(5);
/// Before the second attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Between two warnings.
const QUIET: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Exporter {
    spans: Arc<Spans>,
    queue: Receiver<Ended>,
    endpoint: Uri,
    resource: Resource,
    client: Client<HttpConnector, Full<Bytes>>,
    warned: Option<Instant>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    /// No connection, or it broke.
    #[error("{0}; is it reachable from this pod, and does it take plaintext?")]
    Unreachable(String),
    /// No answer.
    #[error("no answer within {LIMIT:?}")]
    Slow,
    /// It said no.
    #[error("status {status}{sentence}; is this an OTLP/HTTP port, usually 4318?")]
    Refused { status: StatusCode, sentence: String },
    /// It took a part.
    #[error("it took a part only: {0}")]
    Part(String),
}

impl ExportError {
    /// Whether the same may be taken later (OTLP/HTTP, "Retryable Response Codes").
    fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Slow => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Part(_) => false,
        }
    }
}

impl Exporter {
    /// Sends what `queue` holds to `endpoint`, on behalf of this pod.
    pub(crate) fn new(spans: Arc<Spans>, queue: Receiver<Ended>, endpoint: Uri, pod: &Pod) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { spans, queue, endpoint, resource: Resource::of(pod), client, warned: None }
    }

    /// Sends until `stop`, then what is left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let batch = self.gather(&stop).await;
            self.deliver(batch).await;
        }
        self.queue.close();
        let rest = async {
            loop {
                let mut batch = Vec::new();
                if self.queue.recv_many(&mut batch, BATCH_MAX).await == 0 {
                    return;
                }
                self.deliver(batch).await;
            }
        };
        // Whoever is away now keeps no pod from ending.
        let _ = tokio::time::timeout(LIMIT, rest).await;
    }

    /// The next span, and what ends soon after it; nothing where `stop` comes first.
    async fn gather(&mut self, stop: &CancellationToken) -> Vec<Ended> {
        let mut batch = Vec::new();
        tokio::select! {
            _ = self.queue.recv_many(&mut batch, BATCH_MAX) => {}
            () = stop.cancelled() => return batch,
        }
        let full = async {
            while batch.len() < BATCH_MAX {
                self.queue.recv_many(&mut batch, BATCH_MAX).await;
            }
        };
        tokio::select! {
            () = full => {}
            () = tokio::time::sleep(LINGER) => {}
            () = stop.cancelled() => {}
        }
        batch
    }

    async fn deliver(&mut self, batch: Vec<Ended>) {
        if batch.is_empty() {
            return;
        }
        let count = batch.len() as u64;
        let body = Bytes::from(otlp::Request::of(&self.resource, batch).encode_to_vec());
        let mut outcome = self.attempt(body.clone()).await;
        if outcome.as_ref().is_err_and(|(error, _)| error.passes()) {
            tokio::time::sleep(PAUSE).await;
            outcome = self.attempt(body).await;
        }
        let dropped = match outcome {
            Ok(()) => 0,
            Err((error, rejected)) => {
                let dropped = rejected.map_or(count, |rejected| rejected.min(count));
                self.warn(&error, dropped);
                dropped
            }
        };
        let counts = self.spans.counts();
        counts.exported.fetch_add(count - dropped, Ordering::Relaxed);
        counts.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Sends a batch once. An error comes with the number of spans that were not taken; `None`: all.
    async fn attempt(&self, body: Bytes) -> Result<(), (ExportError, Option<u64>)> {
        let exchange = tokio::time::timeout(LIMIT, self.exchange(body));
        let Response { partial_success } =
            exchange.await.unwrap_or(Err(ExportError::Slow)).map_err(|error| (error, None))?;
        match partial_success {
            Some(part) if part.rejected_spans > 0 => {
                let rejected = u64::try_from(part.rejected_spans).ok();
                Err((ExportError::Part(sentence::of_stranger(&part.error_message)), rejected))
            }
            _ => Ok(()),
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Response, ExportError> {
        let request = Request::post(self.endpoint.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(body))
            .expect("an address that was read and constants make a valid request");
        let broken = |error: &(dyn std::error::Error + 'static)| ExportError::Unreachable(sentence::of_error(error));
        let answer = self.client.request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| broken(&*error))?.to_bytes();
        if !status.is_success() {
            let sentence = sentence::of_stranger(&String::from_utf8_lossy(&body));
            let sentence = if sentence.is_empty() { sentence } else { format!(" ({sentence})") };
            return Err(ExportError::Refused { status, sentence });
        }
        // Whatever else a collector adds to a success, it has the spans.
        Ok(Response::decode(body).unwrap_or_default())
    }

    fn warn(&mut self, error: &ExportError, dropped: u64) {
        if self.warned.is_some_and(|warned| warned.elapsed() < QUIET) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(endpoint = %self.endpoint, dropped, "the collector did not take spans: {error}");
    }
}

#[cfg(test)]
pub(super) mod tests;
