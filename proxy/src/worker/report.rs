//! Tells of what the mesh refused or could not bring to its end: a line with everything in the log, and the counters. And of each request,
//! where the access log or the request's trace ask for it.

use std::sync::Arc;

use tulle_core::route::RequestView;
use tulle_core::trace::Outgoing;

use super::Worker;
use crate::access_log::Line;
use crate::error::{Failure, FailureId, Refusal};
use crate::http::Version;
use crate::metrics::{RefusalLabels, Side};
use crate::spans::Recording;

impl Worker {
    /// What the next hop is told of the request's trace; `None`: what its caller said.
    pub(crate) fn trace(&self, request: &impl RequestView) -> Option<Outgoing> {
        self.shared.spans.as_ref()?.join(request, || self.draw())
    }

    /// What is told of a request that belongs to this trace, if anything is. Boxed, because mostly nothing is.
    pub(crate) fn line(
        &self,
        (side, version): (Side, Version),
        request: &impl RequestView,
        trace: Option<&Outgoing>,
    ) -> Option<Box<Line>> {
        let log = &self.shared.access_log;
        if trace.is_none() && !log.is_on() {
            return None;
        }
        let sampled = trace.filter(|trace| trace.is_sampled());
        let recording = self.shared.spans.as_ref().zip(sampled);
        let recording = recording.map(|(spans, trace)| Recording { spans: Arc::clone(spans), trace: *trace });
        let wanted = log.is_on() || recording.is_some();
        wanted.then(|| Box::new(Line::of_request(log, side, version, request, (trace, recording))))
    }

    /// Logs and counts a refused request or connection. Policy, rule and peer are named here and nowhere else.
    pub(crate) fn report_refused(&self, side: Side, refusal: &Refusal) -> FailureId {
        let id = self.failure_id();
        let Refusal { failure, policy, rule } = refusal;
        let (reason, code) = (failure.reason.as_str(), failure.code.as_str());
        if self.may_log() {
            let (side, policy) = (side.as_str(), &**policy);
            tracing::warn!(%id, side, code, reason, policy, rule = *rule, detail = failure.detail, "refused");
        }
        self.metrics.refused(RefusalLabels { side, reason, code, policy: Arc::clone(policy) });
        id
    }

    /// Logs an answer that broke off; its request's record counts it.
    pub(crate) fn report_broken(&self, side: Side, failure: &Failure) -> FailureId {
        let id = self.failure_id();
        let (reason, code) = (failure.reason.as_str(), failure.code.as_str());
        if self.may_log() {
            tracing::warn!(%id, side = side.as_str(), code, reason, detail = failure.detail, "an answer broke off");
        }
        id
    }
}
