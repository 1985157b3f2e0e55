//! One attempt: the request goes to an upstream, and the head of its answer comes back.

use std::io;
use std::task::{Context, Poll};

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
    /// Whether the upstream stopped taking it.
    pub(crate) broken: bool,
    /// Whether the caller's connection ends with this answer.
    pub(crate) draining: bool,
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

/// What one attempt knows.
struct Attempt {
    /// The error that ended sending, in case no answer comes.
    broken: Option<io::Error>,
    touched: bool,
}

impl Exchange<'_> {
    /// Sends the request and waits for the head of the answer, which stays in the upstream's input. Interim responses are passed on.
    pub(crate) async fn attempt(&mut self, upstream: &mut Wire) -> Result<ResponseFacts, AttemptError> {
        (self.sent, self.broken) = (false, false);
        self.answer.clear();
        let mut attempt = Attempt { broken: None, touched: false };
        std::future::poll_fn(|cx| self.poll_attempt(cx, upstream, &mut attempt)).await
    }

    fn poll_attempt(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Wire,
        attempt: &mut Attempt,
    ) -> Poll<Result<ResponseFacts, AttemptError>> {
        if !self.sent {
            self.poll_send(cx, upstream, attempt)?;
        }
        loop {
            match self.read_answer(upstream).map_err(AttemptError::BadAnswer)? {
                Some(facts) if facts.status >= 200 || facts.status == 101 => return Poll::Ready(Ok(facts)),
                Some(_) => {
                    if self.interim(cx, upstream)?.is_pending() {
                        return Poll::Pending;
                    }
                    continue;
                }
                None => {}
            }
            match upstream.poll_fill(cx) {
                Poll::Ready(Ok(0)) => {
                    let error = attempt.broken.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(Err(AttemptError::Upstream { error, touched: attempt.touched }));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    let error = attempt.broken.take().unwrap_or(error);
                    return Poll::Ready(Err(AttemptError::Upstream { error, touched: attempt.touched }));
                }
                Poll::Pending => break,
            }
        }
        if self.sent {
            self.poll_caller(cx)?;
        }
        Poll::Pending
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        upstream: &mut Wire,
        attempt: &mut Attempt,
    ) -> Result<(), AttemptError> {
        let sent = self.request.poll(cx, self.caller, upstream);
        attempt.touched |= self.request.has_written();
        match sent {
            Poll::Ready(Ok(())) => self.sent = true,
            Poll::Ready(Err(Stop::Source(error))) => return Err(AttemptError::CallerGone(error)),
            Poll::Ready(Err(Stop::Malformed(bad))) => return Err(AttemptError::BadRequest(bad)),
            // The upstream may have answered before it closed: its answer, if there is one, counts.
            Poll::Ready(Err(Stop::Sink(error))) => {
                attempt.broken = Some(error);
                (self.sent, self.broken) = (true, true);
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    /// Takes the head of an answer from the input, if it is complete, and words it for the caller.
    fn read_answer(&mut self, upstream: &mut Wire) -> Result<Option<ResponseFacts>, BadMessage> {
        if upstream.input.is_empty() {
            return Ok(None);
        }
        let (asked, draining, out) = (self.facts, self.draining, &mut self.answer);
        let read = head::response(upstream.input.filled(), &asked, |head| {
            write::response(out, head, Manner::of(&asked, &head.facts, draining));
            head.facts
        });
        let Some((length, facts)) = read? else { return Ok(None) };
        upstream.input.consume(length);
        Ok(Some(facts))
    }

    /// Passes a 1xx on (RFC 9110 §15.2); a caller of HTTP/1.0 knows none.
    fn interim(&mut self, cx: &mut Context<'_>, upstream: &mut Wire) -> Result<Poll<()>, AttemptError> {
        let out = std::mem::take(&mut self.answer);
        if self.facts.old {
            return Ok(Poll::Ready(()));
        }
        let mut message = Message::new(out, Framing::Length(0), false, false);
        match message.poll(cx, upstream, self.caller) {
            Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
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
