//! Bodies of both directions: a request that can be sent again while little of it was read, a response that reports its end.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use smallvec::SmallVec;

/// Most of a request body that is kept for another attempt. The bytes are shared with the connection's buffer, not copied.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// The body of a request on its way to an upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// No body: the usual GET costs nothing.
    Empty,
    /// Read from the caller, kept until the answer begins.
    Replay {
        /// What is shared between attempts.
        source: Rc<RefCell<Source>>,
        /// Next kept frame to give.
        position: usize,
    },
}

/// The caller's body and what was read of it so far.
#[derive(Debug)]
pub(crate) struct Source {
    incoming: Incoming,
    hint: SizeHint,
    kept: SmallVec<[Bytes; 4]>,
    kept_bytes: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Whether the beginning is gone: too much was read, or the answer has begun.
    forgotten: bool,
}

/// Sends the body once more, or forgets what was kept.
#[derive(Clone, Debug)]
pub(crate) struct Rewind(Option<Rc<RefCell<Source>>>);

impl RequestBody {
    /// Wraps the caller's body.
    pub(crate) fn new(incoming: Incoming) -> (Self, Rewind) {
        if incoming.is_end_stream() {
            return (Self::Empty, Rewind(None));
        }
        let hint = incoming.size_hint();
        let source = Source {
            incoming,
            hint,
            kept: SmallVec::new(),
            kept_bytes: 0,
            trailers: None,
            ended: false,
            forgotten: false,
        };
        // One allocation for a request with a body: several attempts share what was read.
        let source = Rc::new(RefCell::new(source));
        (Self::Replay { source: Rc::clone(&source), position: 0 }, Rewind(Some(source)))
    }
}

impl Rewind {
    /// The body from its beginning, or `None` when the beginning is gone.
    pub(crate) fn again(&self) -> Option<RequestBody> {
        match &self.0 {
            None => Some(RequestBody::Empty),
            Some(source) if source.borrow().forgotten => None,
            Some(source) => Some(RequestBody::Replay { source: Rc::clone(source), position: 0 }),
        }
    }

    /// The answer has begun: what was kept is of no more use.
    pub(crate) fn forget(&self) {
        if let Some(source) = &self.0 {
            let mut source = source.borrow_mut();
            source.forgotten = true;
            source.kept.clear();
        }
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.ended {
            return Poll::Ready(self.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)?) else {
            self.ended = true;
            return Poll::Ready(None);
        };
        match frame.into_data() {
            Ok(data) => {
                self.keep(&data);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(frame) => {
                self.ended = true;
                self.trailers = frame.trailers_ref().cloned();
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        if self.forgotten {
            return;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > REPLAY_BYTES_MAX {
            self.forgotten = true;
            self.kept.clear();
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Replay { source, position } = self.get_mut() else {
            return Poll::Ready(None);
        };
        let mut source = source.borrow_mut();
        if !source.forgotten && *position < source.kept.len() {
            let data = source.kept[*position].clone();
            *position += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let ended_before = source.ended;
        let frame = ready!(source.poll_next(cx));
        if matches!(&frame, Some(Ok(frame)) if frame.is_data()) {
            *position += 1;
        } else if ended_before && frame.is_some() {
            // Trailers are given once to each reader.
            source.trailers = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Replay { source, position } => {
                let source = source.borrow();
                (source.ended || source.incoming.is_end_stream())
                    && source.trailers.is_none()
                    && (source.forgotten || *position >= source.kept.len())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Replay { source, .. } => source.borrow().hint,
        }
    }
}

/// The body of a response on its way to the caller.
#[derive(Debug)]
pub(crate) enum ResponseBody<C> {
    /// None.
    Empty,
    /// From upstream; `completion` is dropped at its end, whatever the end is.
    Upstream {
        /// The upstream's body.
        incoming: Incoming,
        /// Reports the end: metrics, and the connection's return to the pool.
        completion: Option<C>,
    },
}

/// Told how a response body ends. Dropped without `finished`: the caller or the upstream broke off.
pub(crate) trait Completion {
    /// `bytes` more were passed on.
    fn passed(&mut self, bytes: usize);
    /// The body ended as it should.
    fn finished(self);
}

impl<C: Completion + Unpin> Body for ResponseBody<C> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Upstream { incoming, completion } = self.get_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(completion)) = (frame.data_ref(), completion.as_mut()) {
                    completion.passed(data.len());
                }
                // hyper does not poll a body of known length past its end.
                if incoming.is_end_stream()
                    && let Some(completion) = completion.take()
                {
                    completion.finished();
                }
            }
            Some(Err(_)) => drop(completion.take()),
            None => {
                if let Some(completion) = completion.take() {
                    completion.finished();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upstream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upstream { incoming, .. } => incoming.size_hint(),
        }
    }
}
