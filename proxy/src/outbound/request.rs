//! One request of the application: decide, send, try elsewhere where that is safe, answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, Uri, header};
use hyper::body::Incoming;
use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::retry::Outcome;

use super::Connection;
use super::decide::{self, Decision, Tried};
use crate::access_log::Entry;
use crate::error::{self, Failure, FailureId, UNPROCESSED};
use crate::exchange::{self, Active, Answer, AnswerBody, Broken, Head, Processed};
use crate::http::body::{RequestBody, ResponseBody, Rewind};
use crate::http::{Version, headers, upgrade};
use crate::metrics::cells::HttpCells;
use crate::metrics::{Labels, RefusalLabels, Side};
use crate::upstream::{Upstream, Way};
use crate::view::HeadView;
use crate::worker::Worker;

/// Answers a request; a failure is an answer too.
pub(crate) async fn handle(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    version: Version,
) -> Response<AnswerBody> {
    let grpc = headers::is_grpc(request.headers());
    let mut response = match forward(connection, request, version).await {
        Ok(response) => response,
        Err(failure) => refuse(&connection.worker, &failure, grpc),
    };
    if version == Version::H1 && connection.worker.shared.drain.is_draining() {
        response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    response
}

async fn forward(
    connection: &Rc<Connection>,
    mut request: Request<Incoming>,
    version: Version,
) -> Result<Response<AnswerBody>, Failure> {
    let started = Instant::now();
    let upgrade = take_upgrade(&mut request, version);
    let (parts, incoming) = request.into_parts();
    let (body, rewind) = RequestBody::new(incoming);
    let mut head = Head { method: parts.method, uri: parts.uri, headers: parts.headers, version };
    if head.method == Method::CONNECT && version == Version::H1 {
        return Err(Failure::new(Reason::BadRequest, "CONNECT is not supported; dial the destination itself"));
    }
    prepare(connection, &mut head)?;
    if let Some((_, protocol)) = &upgrade {
        headers::set_upgrade(&mut head.headers, protocol.clone());
    }
    let decision = decide::decide(connection, Some(&HeadView(&head)))?;
    let attempts = Attempts { connection, decision: &decision, head: &head, rewind: &rewind };
    let active = Active::new(&cells(connection, &decision, decision.view.upstreams[0].key.way));
    let (mut answer, upstream) = attempts.within(decision.timeout, body).await?;
    rewind.forget();
    if let Some((caller, _)) = upgrade
        && answer.response.status() == http::StatusCode::SWITCHING_PROTOCOLS
    {
        let open = connection.worker.shared.drain.open();
        upgrade::join(caller, hyper::upgrade::on(&mut answer.response), open);
        let protocol = answer.response.headers().get(header::UPGRADE).cloned();
        clean_answer(answer.response.headers_mut());
        if let Some(protocol) = protocol {
            headers::set_upgrade(answer.response.headers_mut(), protocol);
        }
    } else {
        clean_answer(answer.response.headers_mut());
    }
    let cells = cells(connection, &decision, upstream.key.way);
    let latency = started.elapsed();
    cells.answered(answer.response.status().as_u16(), latency);
    write_access_log(connection, &decision, &head, &upstream, answer.response.status().as_u16(), latency);
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
            Processed::MaybeStale => self.head.method.is_idempotent() || self.decision.asks_again(outcome),
            Processed::Maybe => self.decision.asks_again(outcome),
        }
    }
}

/// Takes what is needed to join the two connections after a 101.
pub(crate) fn take_upgrade(
    request: &mut Request<Incoming>,
    version: Version,
) -> Option<(hyper::upgrade::OnUpgrade, http::HeaderValue)> {
    if version != Version::H1 || !headers::wants_upgrade(request.headers()) {
        return None;
    }
    let protocol = request.headers().get(header::UPGRADE)?.clone();
    Some((hyper::upgrade::on(request), protocol))
}

/// Makes the head what the next hop may see: no hop-by-hop headers, origin form, and where rules look at paths, their normal form.
fn prepare(connection: &Connection, head: &mut Head) -> Result<(), Failure> {
    headers::remove_hop_by_hop(&mut head.headers);
    head.headers.remove(UNPROCESSED);
    if head.version == Version::H1 && head.uri.authority().is_some() {
        origin_form(head)?;
    }
    if decide::has_routes(connection) {
        normal_form(head)?;
    }
    Ok(())
}

/// An absolute-form target's authority replaces `Host` (RFC 9112 §3.2.2).
fn origin_form(head: &mut Head) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::new(Reason::BadRequest, format!("request target: {error}"));
    if let Some(authority) = head.uri.authority() {
        let host = http::HeaderValue::from_str(authority.as_str()).map_err(|error| bad(&error))?;
        head.headers.insert(header::HOST, host);
    }
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    Ok(())
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

fn clean_answer(headers: &mut http::HeaderMap) {
    headers::remove_hop_by_hop(headers);
    headers.remove(UNPROCESSED);
}

fn cells(connection: &Connection, decision: &Decision, way: Way) -> Arc<HttpCells> {
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

fn write_access_log(
    connection: &Connection,
    decision: &Decision,
    head: &Head,
    upstream: &Upstream,
    status: u16,
    latency: Duration,
) {
    let log = &connection.worker.shared.access_log;
    if !log.is_on() {
        return;
    }
    log.write(&Entry {
        log: "access",
        side: "client",
        method: head.method.as_str(),
        path: head.uri.path(),
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
