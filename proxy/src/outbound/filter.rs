//! What the filters of a rule make of one request. Nothing in here is paid for by a rule without any.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tulle_core::codes::Reason;
use tulle_core::grpc;
use tulle_core::name::ServiceRef;
use tulle_core::route::filter::cors::Cors;
use tulle_core::route::filter::direct::DirectResponse;
use tulle_core::route::filter::fault::{Abort, Injected};
use tulle_core::route::filter::headers::HeaderEdits;
use tulle_core::route::filter::redirect::Redirect;
use tulle_core::route::filter::rewrite::BadRewrite;
use tulle_core::route::{Action, RequestView, Rule};

use crate::answer::{Answer, edit, is_grpc};
use crate::error::Failure;
use crate::worker::{Lane, Worker};

/// A request and the rule that took it.
pub(super) struct Call<'a, R, D> {
    pub(super) worker: &'a Worker,
    /// The Service as dialled.
    pub(super) service: &'a ServiceRef,
    pub(super) rule: &'a Rule<D>,
    pub(super) request: &'a R,
}

/// What CORS and fault make of a request before its rule decides.
#[derive(Debug, Default)]
pub(super) struct Prelude {
    /// What CORS changes of the answer.
    cors: Option<HeaderEdits>,
    delay: Option<Duration>,
}

/// What of a forwarded request is decided for it alone.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// The path for the upstream.
    pub(super) path: Option<String>,
    /// Changes of the answer, those of the lane among them.
    pub(super) response: Option<Arc<HeaderEdits>>,
    pub(super) delay: Option<Duration>,
    /// Who gets a copy.
    pub(super) mirrors: Vec<Rc<Lane>>,
}

/// What a rule answers, and for what it is counted.
#[derive(Debug)]
pub(crate) struct Given {
    pub(super) service: ServiceRef,
    pub(super) route: Arc<str>,
    /// After so long.
    pub(super) delay: Option<Duration>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// An answer like any other.
    Answer(Answer),
    /// A failure on purpose.
    Abort(Abort, Failure),
}

impl<R: RequestView, D> Call<'_, R, D> {
    /// What comes before the rule's action, or the answer that ends it there: a preflight's, or a fault.
    pub(super) fn prelude(&self) -> Result<Prelude, Box<Given>> {
        let mut prelude = Prelude::default();
        match self.rule.filters.cors.as_ref().map(|cors| cors.judge(self.request)) {
            None => {}
            Some(Cors::Go(edits)) => prelude.cors = Some(edits),
            Some(Cors::Answer(headers)) => {
                let answer = Answer::new(StatusCode::OK, headers.into_iter().collect());
                return Err(self.give(None, What::Answer(answer)));
            }
        }
        if let Some(fault) = &self.rule.filters.fault {
            let Injected { delay, abort } = fault.inject(self.worker.draw(), self.worker.draw());
            prelude.delay = delay;
            if let Some(abort) = abort {
                let failure = Failure::new(Reason::Fault, format!("{} injects it", self.rule.name));
                return Err(self.give(delay, What::Abort(abort, failure)));
            }
        }
        Ok(prelude)
    }

    /// What is decided for this request alone; `None`: nothing.
    pub(super) fn extra(&self, prelude: Prelude, lane: &Lane) -> Result<Option<Box<Extra>>, Failure> {
        let Prelude { cors, delay } = prelude;
        let rewrite = self.rule.filters.rewrite.as_ref();
        if cors.is_none() && delay.is_none() && rewrite.is_none() {
            return Ok(None);
        }
        let rewritten = rewrite.map(|rewrite| rewrite.apply(self.request.path(), self.rule.matched(self.request)));
        let path = rewritten.transpose().map_err(|bad| self.no_path(&bad))?;
        let of_lane = lane.edits().and_then(|edits| edits.response.as_deref());
        let response = cors.map(|cors| Arc::new(of_lane.cloned().unwrap_or_default().then(&cors)));
        Ok(Some(Box::new(Extra { path, response, delay, mirrors: Vec::new() })))
    }

    /// The answer of a rule that forwards nothing.
    pub(super) fn answer(&self, prelude: Prelude, dialled_port: u16) -> Result<Box<Given>, Failure> {
        let (answer, message) = match &self.rule.action {
            Action::Redirect(to) => self.redirect(to, dialled_port)?,
            Action::Answer(with) => self.direct(with),
            Action::Delegate(to) => {
                let detail = format!("{} delegates to VirtualService {to}, which cannot be followed", self.rule.name);
                return Err(Failure::new(Reason::NoRoute, detail));
            }
            Action::Invalid => {
                return Err(Failure::new(Reason::InvalidRule, format!("{} cannot be read", self.rule.name)));
            }
            Action::Forward(_) => unreachable!("its caller forwards"),
        };
        let mut answer = if is_grpc(self.request) {
            let status = grpc::from_http(answer.status.as_u16());
            answer.into_grpc(status, &message)
        } else {
            answer
        };
        for edits in self.rule.filters.edits.response.as_deref().into_iter().chain(&prelude.cors) {
            edit(&mut answer.headers, edits);
        }
        Ok(self.give(prelude.delay, What::Answer(answer)))
    }

    /// An answer, and what a gRPC caller is told in words.
    fn redirect(&self, to: &Redirect, dialled_port: u16) -> Result<(Answer, Bytes), Failure> {
        let location = to
            .location(self.request, dialled_port, self.rule.matched(self.request))
            .map_err(|bad| self.no_path(&bad))?;
        let value = HeaderValue::from_bytes(location.as_bytes()).map_err(|_| {
            Failure::new(Reason::BadRequest, format!("{}: the new address is no header value", self.rule.name))
        })?;
        let headers = HeaderMap::from_iter([(header::LOCATION, value)]);
        Ok((Answer::new(status(to.status), headers), location.into()))
    }

    /// See [`redirect`](Self::redirect).
    fn direct(&self, direct: &DirectResponse) -> (Answer, Bytes) {
        let mut answer = Answer::new(status(direct.status), HeaderMap::new());
        if !direct.body.is_empty() {
            answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            answer.body = direct.body.clone();
        }
        (answer, direct.body.clone())
    }

    fn give(&self, delay: Option<Duration>, what: What) -> Box<Given> {
        let (service, route) = (ServiceRef::clone(self.service), Arc::clone(&self.rule.name));
        Box::new(Given { service, route, delay, what })
    }

    fn no_path(&self, bad: &BadRewrite) -> Failure {
        Failure::new(Reason::BadRequest, format!("{}: {bad}", self.rule.name))
    }
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("the parser reads final statuses only")
}

#[cfg(test)]
mod tests;
