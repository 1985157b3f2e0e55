//! Tells of what the mesh refused or could not bring to its end: a line with everything in the log, and the counters.

use std::sync::Arc;

use super::Worker;
use crate::error::{Failure, FailureId, Refusal};
use crate::metrics::{RefusalLabels, Side};

impl Worker {
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
