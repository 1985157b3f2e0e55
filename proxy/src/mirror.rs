//! Copies of requests for the mirrors of their rule: sent behind the caller's back, answered to nobody.
//!
//! A request is kept anyway until its answer begins, in case it has to be sent again. A rule with mirrors keeps it until it was passed
//! on whole, and what was kept then is what its mirrors get. So a copy costs the caller nothing, and what is too long to be
//! kept is not copied ([ADR 0019](../../docs/adr/0019-bounded-mirrors.md)).

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use tulle_core::codes::Reason;

use crate::error::Failure;
use crate::exchange::InFlight;
use crate::h1;
use crate::upstream::dial::Terms;
use crate::worker::{Lane, Tried, Worker};

/// Copies under way at once in a data thread: with at most 64 KiB of body each, what mirrors that stall can hold is 4 MiB.
const COPIES_MAX: u32 = 64;
/// Time for one copy, from its connection to the end of its answer: what Envoy gives a request without a timeout of its own.
const COPY_LIMIT: Duration = Duration::from_secs(15);
/// Most of an answer that is read in order to keep the connection.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    /// Its answer began, whatever it says.
    Sent,
    /// There was no endpoint, no connection, or no answer of the application in time.
    Failed,
    /// It was not sent: too long, too many at once, or its original was not passed on whole and answered.
    Dropped,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// A whole request.
#[derive(Clone, Debug)]
pub(crate) enum Whole {
    Http1(h1::Copy),
    Http2 { head: Box<Request<()>>, body: Bytes, trailers: Option<HeaderMap> },
}

/// The mirrors that were drawn for one request. Those it does not reach are counted when this is dropped.
pub(crate) struct Copies {
    worker: Rc<Worker>,
    to: Vec<Rc<Lane>>,
}

impl Copies {
    pub(crate) fn new(worker: &Rc<Worker>, to: Vec<Rc<Lane>>) -> Box<Self> {
        Box::new(Self { worker: Rc::clone(worker), to })
    }

    /// Sends the request to each, as far as there is room for further copies.
    pub(crate) fn send(mut self, request: &Whole) {
        for lane in std::mem::take(&mut self.to) {
            let Some(place) = self.worker.copies.take(COPIES_MAX) else {
                self.worker.count_copy(&lane, Outcome::Dropped);
                continue;
            };
            let (worker, request) = (Rc::clone(&self.worker), request.clone());
            tokio::task::spawn_local(async move {
                let _place = place;
                let outcome = match tokio::time::timeout(COPY_LIMIT, deliver(&worker, &lane, request)).await {
                    Ok(Ok(())) => Outcome::Sent,
                    Ok(Err(failure)) => {
                        tracing::debug!(%failure, "a copy failed");
                        Outcome::Failed
                    }
                    Err(_) => Outcome::Failed,
                };
                worker.count_copy(&lane, outcome);
            });
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        for lane in &self.to {
            self.worker.count_copy(lane, Outcome::Dropped);
        }
    }
}

impl std::fmt::Debug for Copies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.to.iter().map(|lane| &lane.view.backend.service)).finish()
    }
}

/// Sends a copy once and drops the answer. The balancer learns nothing from it but that it is under way.
async fn deliver(worker: &Worker, lane: &Lane, request: Whole) -> Result<(), Failure> {
    let now = Instant::now();
    let upstream = lane.view.endpoint(worker.draw(), &Tried::new(), now);
    let _in_flight = InFlight::begin(upstream);
    let terms = Terms::from(&*lane.view.backend);
    let broken = |error: &dyn std::fmt::Display| {
        Failure::new(Reason::UpstreamReset, format!("copy for {}: {error}", upstream.key.address))
    };
    match request {
        Whole::Http1(copy) => {
            let mut connection = match upstream.kept_h1(terms.expected, now) {
                Some(connection) => connection,
                None => upstream.h1(&worker.shared.tls, terms).await?,
            };
            if copy.exchange(&mut connection.wire).await.map_err(|error| broken(&error))? {
                upstream.give_back(connection);
            }
            Ok(())
        }
        Whole::Http2 { head, body, trailers } => {
            let connection = upstream.h2(&worker.shared.tls, terms).await?;
            connection.sender.send_whole(*head, body, trailers).await.map_err(|error| broken(&error))
        }
    }
}
