//! What the filters of a rule make of one request. Nothing in here is paid for by a rule without any.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tulle_core::codes::Reason;
use tulle_core::grpc;
use tulle_core::name::ServiceRef;
use tulle_core::route::filter::direct::DirectResponse;
use tulle_core::route::filter::redirect::Redirect;
use tulle_core::route::filter::rewrite::BadRewrite;
use tulle_core::route::{Action, Filters, RequestView, Rule};

use super::request;
use crate::access_log::Logged;
use crate::answer::{Answer, edit, is_grpc};
use crate::error::Failure;
use crate::metrics::Labels;
use crate::worker::Worker;

/// What of a forwarded request is decided for it alone.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// The path for the upstream.
    pub(super) path: Option<String>,
}

/// What is decided for this request alone; `None`: nothing.
pub(super) fn extra<D>(rule: &Rule<D>, request: &impl RequestView) -> Result<Option<Box<Extra>>, Failure> {
    let Filters { rewrite: Some(rewrite), .. } = &rule.filters else { return Ok(None) };
    let path = rewrite.apply(request.path(), rule.matched(request)).map_err(|bad| no_path(rule, &bad))?;
    Ok(Some(Box::new(Extra { path: Some(path) })))
}

/// A rule's own answer, with what is counted and logged of it.
#[derive(Debug)]
pub(crate) struct Given {
    pub(super) labels: Labels,
    pub(super) service: ServiceRef,
    pub(super) logged: Option<Logged>,
    pub(super) answer: Answer,
}

impl Given {
    pub(super) fn new<D>(
        worker: &Worker,
        service: &ServiceRef,
        rule: &Rule<D>,
        request: &impl RequestView,
        answer: Answer,
    ) -> Self {
        let labels = request::labels(worker, service, Some(&rule.name), None, false);
        let logged = worker.shared.access_log.is_on().then(|| Logged::new(request.method(), request.path()));
        Self { labels, service: service.clone(), logged, answer }
    }
}

/// The answer of a rule that forwards nothing.
pub(super) fn answer<D>(rule: &Rule<D>, request: &impl RequestView, dialled_port: u16) -> Result<Answer, Failure> {
    match &rule.action {
        Action::Redirect(to) => redirect(rule, to, request, dialled_port),
        Action::Answer(with) => Ok(direct(rule, with, request)),
        Action::Forward(_) => Err(Failure::new(Reason::NoRoute, format!("{} forwards", rule.name))),
    }
}

/// The answer of a rule that sends its callers elsewhere.
fn redirect<D>(
    rule: &Rule<D>,
    redirect: &Redirect,
    request: &impl RequestView,
    dialled_port: u16,
) -> Result<Answer, Failure> {
    let location =
        redirect.location(request, dialled_port, rule.matched(request)).map_err(|bad| no_path(rule, &bad))?;
    let value = HeaderValue::from_bytes(location.as_bytes())
        .map_err(|_| Failure::new(Reason::BadRequest, format!("{}: the new address is no header value", rule.name)))?;
    let headers = HeaderMap::from_iter([(header::LOCATION, value)]);
    let answer = Answer::new(status(redirect.status), headers);
    Ok(finish(rule, request, answer, location.as_bytes()))
}

/// The answer of a rule that gives it itself.
fn direct<D>(rule: &Rule<D>, direct: &DirectResponse, request: &impl RequestView) -> Answer {
    let mut answer = Answer::new(status(direct.status), HeaderMap::new());
    if !direct.body.is_empty() {
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        answer.body = Bytes::clone(&direct.body);
    }
    finish(rule, request, answer, &direct.body)
}

/// Words an answer for its caller, and changes it as the rule says. `message` is what a gRPC caller is told in words.
fn finish<D>(rule: &Rule<D>, request: &impl RequestView, answer: Answer, message: &[u8]) -> Answer {
    let mut answer = if is_grpc(request) {
        {
            let status = grpc::from_http(answer.status.as_u16());
            answer.into_grpc(status, message)
        }
    } else {
        answer
    };
    if let Some(edits) = &rule.filters.edits.response {
        edit(&mut answer.headers, edits);
    }
    answer
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("the parser reads final statuses only")
}

fn no_path<D>(rule: &Rule<D>, bad: &BadRewrite) -> Failure {
    Failure::new(Reason::BadRequest, format!("{}: {bad}", rule.name))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
