//! One request to the application: authorize, forward, answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, header};
use hyper::body::Incoming;

use super::Connection;
use super::authorize::{self, Denied};
use crate::access_log::Entry;
use crate::error::{self, Failure, FailureId, UNPROCESSED};
use crate::exchange::{self, Active, Answer, AnswerBody, Head, Processed};
use crate::http::body::{RequestBody, ResponseBody, Rewind};
use crate::http::{Version, headers, upgrade};
use crate::metrics::{RefusalLabels, Side};
use crate::outbound::request::{normal_form, take_upgrade};
use crate::upstream::Way;
use crate::worker::Worker;

/// Answers a request; a failure is an answer too.
pub(super) async fn handle(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    version: Version,
) -> Response<AnswerBody> {
    let started = Instant::now();
    let grpc = headers::is_grpc(request.headers());
    let mut response = match forward(connection, request, version, started).await {
        Ok(response) => response,
        Err(denied) => {
            let response = refuse(connection, &denied, grpc);
            connection.cells.answered(response.status().as_u16(), started.elapsed());
            response
        }
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
    started: Instant,
) -> Result<Response<AnswerBody>, Denied> {
    let active = Active::new(&connection.cells);
    let upgrade = take_upgrade(&mut request, version);
    let (parts, incoming) = request.into_parts();
    let (body, rewind) = RequestBody::new(incoming);
    let mut head = Head { method: parts.method, uri: parts.uri, headers: parts.headers, version };
    headers::remove_hop_by_hop(&mut head.headers);
    if authorize::judges_paths(&connection.worker) {
        normal_form(&mut head)?;
    }
    authorize::request(connection, &head)?;
    if let Some((_, protocol)) = &upgrade {
        headers::set_upgrade(&mut head.headers, protocol.clone());
    }
    let mut answer = send(connection, &head, body, &rewind).await?;
    rewind.forget();
    let status = answer.response.status();
    let protocol = answer.response.headers().get(header::UPGRADE).cloned();
    headers::remove_hop_by_hop(answer.response.headers_mut());
    answer.response.headers_mut().remove(UNPROCESSED);
    if let (Some((caller, _)), Some(protocol), http::StatusCode::SWITCHING_PROTOCOLS) = (upgrade, protocol, status) {
        let open = connection.worker.shared.drain.open();
        upgrade::join(caller, hyper::upgrade::on(&mut answer.response), open);
        headers::set_upgrade(answer.response.headers_mut(), protocol);
    }
    let latency = started.elapsed();
    connection.cells.answered(status.as_u16(), latency);
    write_access_log(connection, &head, status.as_u16(), latency.as_secs_f64() * 1e3);
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
    let stale = broken.processed == Processed::MaybeStale && head.method.is_idempotent();
    match rewind.again() {
        Some(body) if stale || broken.processed == Processed::Nothing => {
            exchange::send(&worker.shared.tls, &application, head, body, &[]).await.map_err(|broken| broken.failure)
        }
        _ => Err(broken.failure),
    }
}

fn refuse(connection: &Connection, denied: &Denied, grpc: bool) -> Response<AnswerBody> {
    let id = connection.worker.failure_id();
    log_refused(&connection.worker, id, &denied.failure, Some(denied));
    let (status, mut headers) = error::answer(&denied.failure, id, grpc);
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
pub(super) fn log_refused(worker: &Worker, id: FailureId, failure: &Failure, denied: Option<&Denied>) {
    let policy = denied.map_or_else(|| Arc::from(""), |denied| Arc::clone(&denied.policy));
    let rule = denied.and_then(|denied| denied.rule);
    if worker.may_log() {
        tracing::warn!(
            %id,
            code = failure.code.as_str(),
            reason = failure.reason.as_str(),
            policy = &*policy,
            rule,
            detail = failure.detail,
            "inbound request refused"
        );
    }
    let (reason, code) = (failure.reason.as_str(), failure.code.as_str());
    worker.metrics.refused(RefusalLabels { side: Side::Server, reason, code, policy });
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self { failure, policy: Arc::from(""), rule: None }
    }
}

fn write_access_log(connection: &Connection, head: &Head, status: u16, duration_ms: f64) {
    let log = &connection.worker.shared.access_log;
    if !log.is_on() {
        return;
    }
    let peer = connection.peer.as_ref().map(ToString::to_string).unwrap_or_default();
    let address = connection.dialled.to_string();
    log.write(&Entry {
        log: "access",
        side: "server",
        method: head.method.as_str(),
        path: head.uri.path(),
        status,
        duration_ms,
        peer: &peer,
        service: "",
        backend: "",
        endpoint: &address,
        mtls: connection.peer.is_some(),
    });
}
