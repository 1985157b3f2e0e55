//! One HTTP/2 request on one upstream: the part of the story that both paths share.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tulle_core::codes::Reason;
use tulle_core::identity::SpiffeId;

use crate::error::{Failure, UNPROCESSED};
use crate::http::body::{Completion, RequestBody, ResponseBody};
use crate::metrics::cells::HttpCells;
use crate::tls::TlsContext;
use crate::upstream::pool::H2Connection;
use crate::upstream::{Upstream, Way};

/// The answer's body as both paths hand it to their caller.
pub(crate) type AnswerBody = ResponseBody<Passing>;

/// The head of a request, kept so that it can be sent again when nothing of it was processed.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    lease: Rc<H2Connection>,
    in_flight: InFlight,
}

/// No answer.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) processed: Processed,
}

/// How much of a request the upstream may have seen. Decides whether it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processed {
    /// Nothing: any request may be sent again.
    Nothing,
    /// Unknown: the request is not repeated.
    Maybe,
}

/// A request in flight, for the balancer.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Rc<Upstream>);

impl InFlight {
    pub(crate) fn begin(upstream: &Rc<Upstream>) -> Self {
        upstream.load.begin();
        Self(Rc::clone(upstream))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.end();
    }
}

impl Head {
    fn request(&self, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        // The one copy of the head: a request that met a closing door is sent elsewhere without the caller noticing.
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Sends the request and waits for the answer's head.
pub(crate) async fn send(
    tls: &TlsContext,
    upstream: &Rc<Upstream>,
    head: &Head,
    body: RequestBody,
    expected: &[SpiffeId],
) -> Result<Answer, Broken> {
    let request = head.request(body);
    let in_flight = InFlight::begin(upstream);
    let started = Instant::now();
    let sent = send_on(tls, upstream, request, expected).await;
    let now = Instant::now();
    match sent {
        Ok((response, lease)) => {
            upstream.load.observe(now.saturating_duration_since(started), now);
            Ok(Answer { response, lease, in_flight })
        }
        Err(broken) => {
            upstream.load.failed(now);
            Err(broken)
        }
    }
}

async fn send_on(
    tls: &TlsContext,
    upstream: &Upstream,
    request: Request<RequestBody>,
    expected: &[SpiffeId],
) -> Result<(Response<Incoming>, Rc<H2Connection>), Broken> {
    let connection = upstream.h2(tls, expected).await.map_err(Broken::unsent)?;
    match connection.sender.clone().try_send_request(request).await {
        Ok(response) => Ok((response, connection)),
        Err(error) => Err(Broken::sending(upstream, error)),
    }
}

impl Broken {
    fn unsent(failure: Failure) -> Self {
        Self { failure, processed: Processed::Nothing }
    }

    fn sending(upstream: &Upstream, mut error: TrySendError<Request<RequestBody>>) -> Self {
        let unsent = error.take_message().is_some() || refused(error.error());
        let processed = if unsent { Processed::Nothing } else { Processed::Maybe };
        let reason = if unsent { Reason::ConnectFailed } else { Reason::UpstreamReset };
        let detail = format!("{}: {}", upstream.key.address, chain(error.error()));
        Self { failure: Failure::new(reason, detail), processed }
    }
}

/// Whether the peer said that it did not process the stream (RFC 9113 §8.7).
fn refused(error: &hyper::Error) -> bool {
    let h2 = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| h2.reason() == Some(h2::Reason::REFUSED_STREAM) && h2.is_remote())
}

/// The error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl Answer {
    /// Whether the peer's proxy says that its application saw nothing of the request. Nobody but a proxy is believed.
    pub(crate) fn unprocessed(&self) -> bool {
        self.in_flight.0.key.way == Way::Mesh && self.response.headers().contains_key(UNPROCESSED)
    }

    /// The response with a body that reports its end to `cells` and gives the connection back; `active` ends with it.
    pub(crate) fn pass(self, cells: Arc<HttpCells>, active: Active) -> Response<AnswerBody> {
        let (parts, incoming) = self.response.into_parts();
        let passing =
            Passing { _lease: self.lease, _in_flight: self.in_flight, cells, finished: false, _active: active };
        let completion = if http_body::Body::is_end_stream(&incoming) {
            passing.finished();
            None
        } else {
            Some(passing)
        };
        Response::from_parts(parts, ResponseBody::Upstream { incoming, completion })
    }
}

/// Follows an answer's body to its end.
#[derive(Debug)]
pub(crate) struct Passing {
    /// Its reference count is the number of streams.
    _lease: Rc<H2Connection>,
    _in_flight: InFlight,
    cells: Arc<HttpCells>,
    finished: bool,
    _active: Active,
}

/// Counts a request as active until its answer has ended.
#[derive(Debug)]
pub(crate) struct Active(Arc<HttpCells>);

impl Active {
    pub(crate) fn new(cells: &Arc<HttpCells>) -> Self {
        cells.active.add(1);
        Self(Arc::clone(cells))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.add(-1);
    }
}

impl Completion for Passing {
    fn passed(&mut self, bytes: usize) {
        self.cells.response_bytes.add(bytes as u64);
    }

    fn finished(mut self) {
        self.finished = true;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.finished {
            self.cells.aborted.add(1);
        }
    }
}
