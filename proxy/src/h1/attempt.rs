//! One attempt: the request goes to an upstream, and the head of its answer comes back.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tulle_core::route::filter::headers::HeaderEdits;

use super::BadMessage;
use super::body::{Message, Stop};
use super::head::{self, Framing, RequestFacts, ResponseFacts};
use super::wire::Wire;
use super::write::{self, Manner};
use crate::buffer::Buffer;

/// Most a caller may send ahead of its answer (pipelined requests) before it is not read any more.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// A request being served: the caller's connection and the message on its way to an upstream.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) caller: &'a mut Wire,
    pub(crate) request: Message,
    pub(crate) facts: RequestFacts,
    /// Whether the request was passed on whole, or cannot be passed on any further.
    pub(crate) sent: bool,
    /// Why the upstream stopped taking it, if it did.
    pub(super) broken: Option<io::Error>,
    /// Whether the caller's connection ends with this answer.
    pub(crate) draining: bool,
    /// What a rule changes of the answer's head.
    pub(super) edits: Option<Arc<HeaderEdits>>,
    /// The answer's head as the caller gets it.
    pub(super) answer: Buffer,
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The caller went away.
    CallerGone(io::Error),
    /// The caller's body broke the rules.
    BadRequest(BadMessage),
    /// The upstream's answer broke the rules.
    BadAnswer(BadMessage),
    /// The upstream's connection failed.
    Upstream {
        /// How.
        error: io::Error,
        /// Whether any byte of the request may have reached it.
        touched: bool,
    },
}

impl<'a> Exchange<'a> {
    /// A request of which nothing was sent.
    pub(super) fn new(caller: &'a mut Wire, request: Message, facts: RequestFacts, draining: bool) -> Self {
        Self { caller, request, facts, sent: false, broken: None, draining, edits: None, answer: Buffer::new() }
    }

    /// Sends the request and waits for the head of the answer, which is taken from the upstream's input and worded for the caller.
    /// Interim responses are passed on.
    pub(crate) async fn attempt(&mut self, upstream: &mut Wire) -> Result<ResponseFacts, AttemptError> {
        (self.sent, self.broken) = (false, None);
        self.answer.clear();
        std::future::poll_fn(|cx| self.poll_attempt(cx, upstream)).await
    }

    fn poll_attempt(&mut self, cx: &mut Context<'_>, upstream: &mut Wire) -> Poll<Result<ResponseFacts, AttemptError>> {
        match self.poll_send(cx, upstream) {
            Ok(()) => {}
            Err(Stop::Malformed(bad)) => return Poll::Ready(Err(AttemptError::BadRequest(bad))),
            Err(Stop::Source(error) | Stop::Sink(error)) => return Poll::Ready(Err(AttemptError::CallerGone(error))),
        }
        loop {
            match self.read_answer(upstream).map_err(AttemptError::BadAnswer)? {
                Some(facts) if facts.status >= 200 || facts.status == 101 => return Poll::Ready(Ok(facts)),
                Some(_) => {
                    self.interim(cx, upstream)?;
                    continue;
                }
                None => {}
            }
            let ended = match upstream.poll_fill(cx) {
                Poll::Ready(Ok(0)) => io::ErrorKind::UnexpectedEof.into(),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => error,
                Poll::Pending => break,
            };
            let error = self.broken.take().unwrap_or(ended);
            return Poll::Ready(Err(AttemptError::Upstream { error, touched: self.request.has_written() }));
        }
        if self.sent {
            self.poll_caller(cx)?;
        }
        Poll::Pending
    }

    /// Passes on what there is of the request, unless all of it was. `sent` says afterwards whether more will follow.
    ///
    /// # Errors
    /// The caller went away or broke the rules. An upstream that takes no more is none: it may have answered before it closed.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, upstream: &mut Wire) -> Result<(), Stop> {
        if self.sent {
            return Ok(());
        }
        match self.request.poll(cx, self.caller, upstream) {
            Poll::Ready(Ok(())) => self.sent = true,
            Poll::Ready(Err(Stop::Sink(error))) => (self.sent, self.broken) = (true, Some(error)),
            Poll::Ready(Err(stop)) => return Err(stop),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Takes the head of an answer from the input, if it is complete, and words it for the caller.
    fn read_answer(&mut self, upstream: &mut Wire) -> Result<Option<ResponseFacts>, BadMessage> {
        if upstream.input.is_empty() {
            return Ok(None);
        }
        let (asked, draining, out, edits) = (self.facts, self.draining, &mut self.answer, self.edits.as_deref());
        let read = head::response(upstream.input.filled(), &asked, |head| {
            write::response(out, head, Manner::of(&asked, &head.facts, draining), edits);
            head.facts
        });
        let Some((length, facts)) = read? else { return Ok(None) };
        upstream.input.consume(length);
        Ok(Some(facts))
    }

    /// Passes a 1xx on (RFC 9110 §15.2); a caller of HTTP/1.0 knows none.
    fn interim(&mut self, cx: &mut Context<'_>, upstream: &mut Wire) -> Result<(), AttemptError> {
        let out = std::mem::take(&mut self.answer);
        if self.facts.old {
            return Ok(());
        }
        match Message::new(out, Framing::Length(0), false, false).poll(cx, upstream, self.caller) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(_)) => Err(AttemptError::CallerGone(io::ErrorKind::BrokenPipe.into())),
            // A caller that does not read a hundred bytes of its own answer is not waited for.
            Poll::Pending => Err(AttemptError::CallerGone(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Notices a caller that goes away while the upstream works. What it sends ahead stays for later.
    fn poll_caller(&mut self, cx: &mut Context<'_>) -> Result<(), AttemptError> {
        while self.caller.input.len() < AHEAD_BYTES_MAX {
            match self.caller.poll_fill(cx) {
                // A half-closed caller may still read (RFC 9112 section 9.6).
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(AttemptError::CallerGone(error)),
            }
        }
        Ok(())
    }
}
