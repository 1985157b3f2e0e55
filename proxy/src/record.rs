//! What is remembered of a request from its head to its end, for the counters, the access log and whoever reads either at night.
//!
//! Every request is counted once when its answer begins or it gets none, and once more if the answer breaks off. Whatever ends a
//! request without a word, a caller that went away above all, drops its record, and that counts too.

use std::sync::Arc;
use std::time::Instant;

use tulle_core::codes::Reason;

use crate::access_log::Line;
use crate::error::{Failure, FailureId};
use crate::http::Version;
use crate::io::Stream;
use crate::metrics::cells::{Count, HttpCells};
use crate::tcp::{self, Relayed};

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) version: Version,
    /// Whether the mesh's own errors must be gRPC statuses.
    pub(crate) grpc: bool,
}

impl Arrival {
    /// A request whose head is there now.
    pub(crate) fn now(version: Version, grpc: bool) -> Self {
        Self { at: Instant::now(), version, grpc }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) arrival: Arrival,
    /// Where it is counted as active; none before it is known where it goes.
    cells: Option<Arc<HttpCells>>,
    stage: Stage,
    /// Body bytes counted so far, of the request and of its answer.
    counted: (u64, u64),
    /// How the destination ended a gRPC call.
    grpc_status: Option<u32>,
    /// What is written of it; boxed, because the access log is mostly off.
    line: Option<Box<Line>>,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its answer has not begun.
    Waiting,
    /// Its answer is under way.
    Answered,
    /// It is over and was counted.
    Over,
}

impl Record {
    /// A request that has just arrived.
    pub(crate) fn new(arrival: Arrival, line: Option<Box<Line>>) -> Self {
        Self { arrival, cells: None, stage: Stage::Waiting, counted: (0, 0), grpc_status: None, line }
    }

    /// From now on it is active, and counted here.
    pub(crate) fn enter(&mut self, cells: &Arc<HttpCells>) {
        if self.cells.as_ref().is_some_and(|known| Arc::ptr_eq(known, cells)) {
            return;
        }
        cells.active.add(1);
        if let Some(left) = self.cells.replace(Arc::clone(cells)) {
            left.active.add(-1);
        }
    }

    /// Whether it is known where it is counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.cells.is_some()
    }

    /// What is written of it, if anything is.
    pub(crate) fn line(&mut self) -> Option<&mut Line> {
        self.line.as_deref_mut()
    }

    /// The head of its answer is there, since `at`.
    pub(crate) fn answered(&mut self, status: u16, at: Instant) {
        let latency = at.saturating_duration_since(self.arrival.at);
        self.stage = Stage::Answered;
        if let Some(cells) = &self.cells {
            cells.answered(status, None, latency);
        }
        if let Some(line) = &mut self.line {
            line.answered(status, latency);
        }
    }

    /// So many body bytes were passed on since its beginning, of the request and of the answer.
    pub(crate) fn flowed(&mut self, request: u64, response: u64) {
        let Some(cells) = &self.cells else { return };
        let (there, back) = std::mem::replace(&mut self.counted, (request, response));
        if request > there {
            cells.request_bytes.add(request - there);
        }
        cells.response_bytes.add(response - back);
    }

    /// Relays the bytes of an exchange that changed its protocol, and counts them as they flow.
    pub(crate) async fn join(&mut self, caller: &mut Stream, upstream: &mut Stream) {
        let (there, back) = match &self.cells {
            Some(cells) => (&cells.request_bytes, &cells.response_bytes),
            None => (&Count::default(), &Count::default()),
        };
        let Relayed { bytes: (sent, received), broken } = tcp::relay(caller, upstream, there, back).await;
        self.counted = (self.counted.0 + sent, self.counted.1 + received);
        match broken {
            Some((reason, _)) => self.broke_off(reason, None),
            None => self.ended(),
        }
    }

    /// The mesh answers it itself, with this HTTP status, or this gRPC status to a gRPC call.
    pub(crate) fn refused(mut self, failure: &Failure, id: FailureId, (status, grpc_status): (u16, u32)) {
        self.stage = Stage::Over;
        if let Some(cells) = &self.cells {
            cells.answered(status, Some(failure.reason), self.arrival.at.elapsed());
        }
        if let Some(line) = &mut self.line {
            line.answered(status, self.arrival.at.elapsed());
            line.failed(failure.reason, failure.code, Some(id));
        }
        self.count_grpc(grpc_status);
    }

    /// The destination ended the call with this gRPC status.
    pub(crate) fn grpc_ended(&mut self, status: u32) {
        self.grpc_status = Some(status);
    }

    /// Its answer ended as it should.
    pub(crate) fn ended(&mut self) {
        self.stage = Stage::Over;
        // A gRPC call without a status is one of status UNKNOWN (gRPC core, `statuscodes.md`).
        self.count_grpc(self.grpc_status.unwrap_or(2));
    }

    /// Its answer broke off.
    pub(crate) fn broke_off(&mut self, reason: Reason, id: Option<FailureId>) {
        self.count_broken(reason, id);
    }

    fn count_broken(&mut self, reason: Reason, id: Option<FailureId>) {
        let answered = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Waiting => false,
            Stage::Answered => true,
            Stage::Over => return,
        };
        match &self.cells {
            Some(cells) if answered => cells.aborted(reason),
            Some(cells) => cells.unanswered(reason),
            None => {}
        }
        if let Some(line) = &mut self.line {
            line.failed(reason, reason.code(), id);
        }
        self.count_grpc(reason.grpc_status());
    }

    fn count_grpc(&mut self, status: u32) {
        if !self.arrival.grpc {
            return;
        }
        if let Some(cells) = &self.cells {
            cells.grpc_ended(status);
        }
        if let Some(line) = &mut self.line {
            line.grpc_status = Some(status);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Nobody said how it ended, so its caller's connection did.
        self.count_broken(Reason::CallerGone, None);
        if let Some(cells) = &self.cells {
            cells.active.add(-1);
        }
        if let Some(line) = self.line.take() {
            line.write(self.arrival.at.elapsed(), self.counted);
        }
    }
}

#[cfg(test)]
mod tests;
