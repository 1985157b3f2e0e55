//! One request on a kept connection, in the modes of HTTP.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, TE};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use super::stream::Stream;
use super::{Mode, stats};
use crate::client::{self, Body, Http, Target, Unanswered};
use crate::echo::{self, Deframer, Message};
use crate::ledger::REQUEST_ID;

/// Largest answer read; an echo has a few hundred bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Connections tried for one request that could never be sent.
const ATTEMPTS: usize = 3;
/// Header in which the mesh explains its own errors.
const TULLE_ERROR: &str = "tulle-error";

/// Who answered, and to which id.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    /// Name of the server.
    pub(crate) name: String,
    /// Id the answer belongs to.
    #[serde(rename = "request_id")]
    pub(crate) id: String,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One of few words, to count by.
    pub(crate) reason: String,
    /// What exactly happened.
    pub(crate) text: String,
    /// The mesh's own explanation.
    pub(crate) tulle_error: Option<String>,
}

impl Failure {
    /// A failure the mesh did not explain.
    pub(crate) fn new(reason: &str, text: String) -> Self {
        Self { reason: reason.to_owned(), text, tulle_error: None }
    }
}

/// One connection and how to speak on it.
pub(crate) struct Caller {
    mode: Mode,
    target: Target,
    method: Method,
    stats: stats::Shared,
    http: Option<Http>,
    stream: Option<Stream>,
}

impl Caller {
    /// A caller without a connection yet.
    pub(crate) fn new(mode: Mode, target: Target, method: Method, stats: stats::Shared) -> Self {
        Self { mode, target, method, stats, http: None, stream: None }
    }

    /// Drops the connection, and with it whatever is in flight.
    pub(crate) fn hang_up(&mut self) {
        self.http = None;
        self.stream = None;
    }

    /// Sends the request with this id and waits for its answer.
    pub(crate) async fn call(&mut self, id: &str) -> Result<Answer, Failure> {
        let outcome = match self.mode {
            Mode::Http1 | Mode::H2 => self.fetch(id).await,
            Mode::Grpc => self.grpc(id).await,
            Mode::GrpcStream | Mode::Websocket | Mode::Tcp => self.converse(id).await,
        };
        if outcome.is_err() {
            self.hang_up();
        }
        outcome
    }

    async fn fetch(&mut self, id: &str) -> Result<Answer, Failure> {
        let response = self.exchange(id).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| Failure::new("body", error.to_string()))?
            .to_bytes();
        if !head.status.is_success() {
            return Err(refusal(&head, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::new("body", format!("{error}: {}", String::from_utf8_lossy(&body))))
    }

    async fn grpc(&mut self, id: &str) -> Result<Answer, Failure> {
        let (head, body) = self.exchange(id).await?.into_parts();
        let collected = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| Failure::new("body", error.to_string()))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = trailers.get("grpc-status").or_else(|| head.headers.get("grpc-status"));
        if !head.status.is_success() || status.is_none_or(|status| status != "0") {
            return Err(refusal(&head, format!("grpc-status {status:?}").as_bytes()));
        }
        let mut deframer = Deframer::default();
        deframer.push(&collected.to_bytes());
        match deframer.next() {
            Ok(Some(message)) => Ok(Answer { name: message.name, id: message.id }),
            other => Err(Failure::new("body", format!("{other:?} instead of one message"))),
        }
    }

    async fn converse(&mut self, id: &str) -> Result<Answer, Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                stats::lock(&self.stats).connected();
                Stream::open(self.mode, &self.target)
                    .await
                    .map_err(|error| Failure::new("connect", format!("{error:#}")))?
            }
        };
        let message = stream.exchange(id).await.map_err(|error| Failure::new("stream", format!("{error:#}")))?;
        // A server that leaves has said so: the next request goes to another.
        if !message.closing {
            self.stream = Some(stream);
        }
        Ok(Answer { name: message.name, id: message.id })
    }

    /// Sends on the kept connection, or on a new one while not a byte has been sent.
    async fn exchange(&mut self, id: &str) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        for _ in 0..ATTEMPTS {
            let mut http = match self.http.take() {
                Some(kept) => kept,
                None => self.connect().await.map_err(|error| Failure::new("connect", format!("{error:#}")))?,
            };
            if !http.ready().await {
                continue;
            }
            let request = self.request(id, &http).map_err(|error| Failure::new("request", error.to_string()))?;
            match http.send(request).await {
                Ok(response) => {
                    self.http = Some(http);
                    return Ok(response);
                }
                Err(Unanswered::Unsent) => {}
                Err(Unanswered::Failed(error)) => return Err(Failure::new("broken", client::root_cause(&error))),
            }
        }
        Err(Failure::new("connect", format!("{ATTEMPTS} connections closed before the request could be sent")))
    }

    async fn connect(&mut self) -> anyhow::Result<Http> {
        stats::lock(&self.stats).connected();
        if self.mode == Mode::Http1 { Http::one(&self.target).await } else { Http::two(&self.target).await }
    }

    fn request(&self, id: &str, http: &Http) -> Result<http::Request<Body>, http::Error> {
        if self.mode == Mode::Grpc {
            let message = Message { id: id.to_owned(), ..Message::default() };
            let request = http.request(&self.target, echo::UNARY).method(Method::POST).header(REQUEST_ID, id);
            return request
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers")
                .body(client::full(message.frame()));
        }
        http.request(&self.target, &self.target.path)
            .method(&self.method)
            .header(REQUEST_ID, id)
            .body(client::full(Bytes::new()))
    }
}

/// What an answer without success means.
fn refusal(head: &http::response::Parts, body: &[u8]) -> Failure {
    let tulle_error = head.headers.get(TULLE_ERROR).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let word = tulle_error.as_deref().and_then(|text| text.split(';').next());
    Failure {
        reason: word.map_or_else(|| format!("status-{}", head.status.as_u16()), str::to_owned),
        text: format!("status {}: {}", head.status, String::from_utf8_lossy(body)),
        tulle_error,
    }
}
