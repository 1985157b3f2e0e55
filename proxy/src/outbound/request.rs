//! One HTTP/2 request of the application: decide, send, try elsewhere where that is safe, answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::retry::Outcome;

use super::Connection;
use super::decide::{self, Decision, Tried};
use crate::access_log::{Entry, Logged};
use crate::error::{self, Failure, FailureId, UNPROCESSED};
use crate::exchange::{self, Active, Answer, AnswerBody, Broken, Head, Processed};
use crate::http::body::{RequestBody, ResponseBody, Rewind};
use crate::http::headers;
use crate::metrics::cells::HttpCells;
use crate::metrics::{Labels, RefusalLabels, Side};
use crate::upstream::{Upstream, Way};
use crate::view::HeadView;
use crate::worker::Worker;

/// Answers a request; a failure is an answer too.
pub(crate) async fn handle(connection: &Rc<Connection>, request: Request<Incoming>) -> Response<AnswerBody> {
    let grpc = headers::is_grpc(request.headers());
    match forward(connection, request).await {
        Ok(response) => response,
        Err(failure) => refuse(&connection.worker, &failure, grpc),
    }
}

async fn forward(connection: &Rc<Connection>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Failure> {
    let started = Instant::now();
    let (parts, incoming) = request.into_parts();
    let (body, rewind) = RequestBody::new(incoming);
    let mut head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
    headers::remove_hop_by_hop(&mut head.headers);
    head.headers.remove(UNPROCESSED);
    if decide::has_routes(connection) {
        normal_form(&mut head)?;
    }
    let decision = decide::decide(connection, Some(&HeadView(&head)))?;
    let attempts = Attempts { connection, decision: &decision, head: &head, rewind: &rewind };
    let active = Active::new(&cells(connection, &decision, decision.view.upstreams[0].key.way));
    let (mut answer, upstream) = attempts.within(decision.timeout, body).await?;
    rewind.forget();
    headers::remove_hop_by_hop(answer.response.headers_mut());
    answer.response.headers_mut().remove(UNPROCESSED);
    let cells = cells(connection, &decision, upstream.key.way);
    let (status, latency) = (answer.response.status().as_u16(), started.elapsed());
    cells.answered(status, latency);
    if connection.worker.shared.access_log.is_on() {
        let logged = Logged::new(head.method.as_str(), head.uri.path());
        write_access_log(connection, &decision, &logged, &upstream, status, latency);
    }
    Ok(answer.pass(cells, active))
}

/// The request's attempts on the endpoints of its backend.
struct Attempts<'a> {
    connection: &'a Connection,
    decision: &'a Decision,
    head: &'a Head,
    rewind: &'a Rewind,
}

impl Attempts<'_> {
    async fn within(&self, limit: Option<Duration>, body: RequestBody) -> Result<(Answer, Rc<Upstream>), Failure> {
        let Some(limit) = limit else { return self.run(body).await };
        let timed_out =
            || Failure::new(Reason::Timeout, format!("{} did not answer within {limit:?}", self.decision.service));
        tokio::time::timeout(limit, self.run(body)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn run(&self, mut body: RequestBody) -> Result<(Answer, Rc<Upstream>), Failure> {
        let worker = &self.connection.worker;
        let mut tried = Tried::new();
        loop {
            let upstream = decide::endpoint(worker, &self.decision.view, &tried);
            let sent = self.attempt(upstream, body).await;
            let again = tried.len() < self.decision.attempts()
                && match &sent {
                    Ok(answer) => self.may_repeat_answer(answer),
                    Err(broken) => self.may_repeat(broken),
                };
            match (sent, self.rewind.again()) {
                (sent, Some(beginning)) if again => {
                    tracing::debug!(failure = ?sent.err().map(|broken| broken.failure), "trying another endpoint");
                    body = beginning;
                }
                (Ok(answer), _) => return Ok((answer, Rc::clone(upstream))),
                (Err(broken), _) => return Err(broken.failure),
            }
            tried.push(upstream.key.address);
        }
    }

    /// One attempt, within the rule's `perTryTimeout`.
    async fn attempt(&self, upstream: &Rc<Upstream>, body: RequestBody) -> Result<Answer, Broken> {
        let identities = &self.decision.view.backend.identities;
        let tls = &self.connection.worker.shared.tls;
        let sent = exchange::send(tls, upstream, self.head, body, identities);
        let Some(limit) = self.decision.retry.as_ref().and_then(|retry| retry.per_try_timeout) else {
            return sent.await;
        };
        tokio::time::timeout(limit, sent).await.unwrap_or_else(|_| {
            let detail = format!("{} did not answer within {limit:?}", upstream.key.address);
            Err(Broken { failure: Failure::new(Reason::Timeout, detail), processed: Processed::Maybe })
        })
    }

    fn may_repeat_answer(&self, answer: &Answer) -> bool {
        answer.unprocessed() || self.decision.asks_again(Outcome::Status(answer.response.status().as_u16()))
    }

    fn may_repeat(&self, broken: &Broken) -> bool {
        let outcome = match broken.failure.reason {
            Reason::Timeout => Outcome::Timeout,
            _ => Outcome::Reset,
        };
        match broken.processed {
            Processed::Nothing => true,
            Processed::Maybe => self.decision.asks_again(outcome),
        }
    }
}

/// What is judged is what is forwarded.
pub(crate) fn normal_form(head: &mut Head) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::new(Reason::BadRequest, format!("path: {error}"));
    let normal = match path::normalize(head.uri.path()).map_err(|error| bad(&error))? {
        std::borrow::Cow::Borrowed(_) => return Ok(()),
        std::borrow::Cow::Owned(normal) => normal,
    };
    let target = match head.uri.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal,
    };
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(target.parse().map_err(|error: http::uri::InvalidUri| bad(&error))?);
    head.uri = Uri::from_parts(parts).map_err(|error| bad(&error))?;
    Ok(())
}

/// Where requests of this backend are counted.
pub(super) fn cells(connection: &Connection, decision: &Decision, way: Way) -> Arc<HttpCells> {
    let mtls = way == Way::Mesh;
    decision
        .view
        .cells
        .get(&decision.service, mtls, || connection.worker.metrics.http(labels(&connection.worker, decision, mtls)))
}

/// Labels of a call of this pod.
pub(super) fn labels(worker: &Worker, decision: &Decision, mtls: bool) -> Labels {
    let pod = &worker.shared.config.pod;
    let backend = &decision.view.backend.service;
    Labels {
        side: Side::Client,
        src_namespace: Arc::from(pod.namespace.as_str()),
        src_workload: Arc::from(pod.workload_name()),
        dst_namespace: Arc::from(decision.service.namespace.as_str()),
        dst_service: Arc::clone(&decision.service.name),
        backend: Arc::clone(&backend.name),
        mtls,
    }
}

/// Writes a line of the access log, which is on.
pub(super) fn write_access_log(
    connection: &Connection,
    decision: &Decision,
    request: &Logged,
    upstream: &Upstream,
    status: u16,
    latency: Duration,
) {
    connection.worker.shared.access_log.write(&Entry {
        log: "access",
        side: "client",
        method: &request.method,
        path: &request.path,
        status,
        duration_ms: latency.as_secs_f64() * 1e3,
        peer: "",
        service: &decision.service.to_string(),
        backend: &decision.view.backend.service.to_string(),
        endpoint: &upstream.key.address.to_string(),
        mtls: upstream.key.way == Way::Mesh,
    });
}

fn refuse(worker: &Worker, failure: &Failure, grpc: bool) -> Response<AnswerBody> {
    let id = worker.failure_id();
    log_refused(worker, id, failure);
    let (status, mut headers) = error::answer(failure, id, grpc);
    // Only a proxy may be told this; the application would pass it on.
    headers.remove(UNPROCESSED);
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Logs and counts a refusal of this proxy toward its own application.
pub(super) fn log_refused(worker: &Worker, id: FailureId, failure: &Failure) {
    if worker.may_log() {
        tracing::warn!(
            %id,
            code = failure.code.as_str(),
            reason = failure.reason.as_str(),
            detail = failure.detail,
            "outbound request refused"
        );
    }
    worker.metrics.refused(RefusalLabels {
        side: Side::Client,
        reason: failure.reason.as_str(),
        code: failure.code.as_str(),
        policy: Arc::from(""),
    });
}
