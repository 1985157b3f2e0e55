//! One HTTP/2 request to the application: authorize, forward, answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tulle_core::authz::HttpCall;

use super::Connection;
use super::authorize;
use crate::access_log::{Entry, Logged};
use crate::error::{self, Failure, FailureId, Refusal, UNPROCESSED};
use crate::exchange::{self, Active, Answer, AnswerBody, Head, Processed};
use crate::http::body::{RequestBody, ResponseBody, Rewind};
use crate::http::headers;
use crate::metrics::{RefusalLabels, Side};
use crate::outbound::request::normal_form;
use crate::upstream::Way;
use crate::worker::Worker;

/// Answers a request; a failure is an answer too.
pub(super) async fn handle(connection: &Rc<Connection>, request: Request<Incoming>) -> Response<AnswerBody> {
    let started = Instant::now();
    let grpc = headers::is_grpc(request.headers());
    match forward(connection, request, started).await {
        Ok(response) => response,
        Err(refusal) => {
            let response = refuse(connection, &refusal, grpc);
            connection.cells.answered(response.status().as_u16(), started.elapsed());
            response
        }
    }
}

async fn forward(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    started: Instant,
) -> Result<Response<AnswerBody>, Refusal> {
    let active = Active::new(&connection.cells);
    let (parts, incoming) = request.into_parts();
    let (body, rewind) = RequestBody::new(incoming);
    let mut head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
    headers::remove_hop_by_hop(&mut head.headers);
    if authorize::judges_paths(&connection.worker) {
        normal_form(&mut head)?;
    }
    authorize::request(connection, HttpCall { method: head.method.as_str(), path: head.uri.path() })?;
    let mut answer = send(connection, &head, body, &rewind).await?;
    rewind.forget();
    let status = answer.response.status();
    headers::remove_hop_by_hop(answer.response.headers_mut());
    answer.response.headers_mut().remove(UNPROCESSED);
    let latency = started.elapsed();
    connection.cells.answered(status.as_u16(), latency);
    if connection.worker.shared.access_log.is_on() {
        write_access_log(connection, &Logged::new(head.method.as_str(), head.uri.path()), status.as_u16(), latency);
    }
    Ok(answer.pass(Arc::clone(&connection.cells), active))
}

/// Sends to the application, once more on a new connection where a kept one had been closed.
async fn send(connection: &Connection, head: &Head, body: RequestBody, rewind: &Rewind) -> Result<Answer, Failure> {
    let worker = &connection.worker;
    let application = worker.upstream(connection.dialled, Way::Local);
    let broken = match exchange::send(&worker.shared.tls, &application, head, body, &[]).await {
        Ok(answer) => return Ok(answer),
        Err(broken) => broken,
    };
    match rewind.again() {
        Some(body) if broken.processed == Processed::Nothing => {
            exchange::send(&worker.shared.tls, &application, head, body, &[]).await.map_err(|broken| broken.failure)
        }
        _ => Err(broken.failure),
    }
}

fn refuse(connection: &Connection, refusal: &Refusal, grpc: bool) -> Response<AnswerBody> {
    let id = connection.worker.failure_id();
    log_refused(&connection.worker, id, refusal);
    let (status, mut headers) = error::answer(&refusal.failure, id, grpc);
    if connection.peer.is_none() {
        // Between proxies only.
        headers.remove(UNPROCESSED);
    }
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Logs and counts a refusal. Policy, rule and peer are named here and nowhere else.
pub(super) fn log_refused(worker: &Worker, id: FailureId, refusal: &Refusal) {
    let Refusal { failure, policy, rule } = refusal;
    if worker.may_log() {
        tracing::warn!(
            %id,
            code = failure.code.as_str(),
            reason = failure.reason.as_str(),
            policy = &**policy,
            rule = *rule,
            detail = failure.detail,
            "inbound request refused"
        );
    }
    let (reason, code) = (failure.reason.as_str(), failure.code.as_str());
    worker.metrics.refused(RefusalLabels { side: Side::Server, reason, code, policy: Arc::clone(policy) });
}

/// Writes a line of the access log, which is on.
pub(super) fn write_access_log(connection: &Connection, request: &Logged, status: u16, latency: Duration) {
    let peer = connection.peer.as_ref().map(ToString::to_string).unwrap_or_default();
    let address = connection.dialled.to_string();
    connection.worker.shared.access_log.write(&Entry {
        log: "access",
        side: "server",
        method: &request.method,
        path: &request.path,
        status,
        duration_ms: latency.as_secs_f64() * 1e3,
        peer: &peer,
        service: "",
        backend: "",
        endpoint: &address,
        mtls: connection.peer.is_some(),
    });
}
