//! One attempt: the request goes to an upstream, and the head of its answer comes back.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tulle_core::route::filter::headers::HeaderEdits;

use super::BadMessage;
use super::body::{Message, Stop};
use super::copy::Copy;
use super::head::{self, RequestFacts, ResponseFacts};
use super::relay::SKIPPED_BYTES_MAX;
use super::wire::Wire;
use super::write::{self, Manner};
use crate::buffer::Buffer;
use crate::http::INTERIM_MAX;
use crate::mirror::{Copies, Whole};

/// Bytes of interim responses to one request. A server that counts its progress in them sends some dozen bytes at a time.
const INTERIM_BYTES_MAX: usize = 64 * 1024;
/// What each counts at least, for what passing it on costs: so there are at most [`INTERIM_MAX`].
const INTERIM_BYTES_MIN: usize = INTERIM_BYTES_MAX / INTERIM_MAX as usize;
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
    pub(crate) last: bool,
    /// What a rule changes of the answer's head.
    pub(super) edits: Option<Arc<HeaderEdits>>,
    /// Who gets a copy of the request.
    pub(super) copies: Option<Box<Copies>>,
    /// The answer's head as the caller gets it, or that of an interim response.
    pub(super) answer: Buffer,
    /// Interim responses that may still come.
    interim_left: usize,
    /// Whether an interim response was not flushed yet.
    unflushed: bool,
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
    pub(super) fn new(caller: &'a mut Wire, request: Message, facts: RequestFacts, last: bool) -> Self {
        Self {
            caller,
            request,
            facts,
            sent: false,
            broken: None,
            last,
            edits: None,
            copies: None,
            answer: Buffer::new(),
            interim_left: INTERIM_BYTES_MAX,
            unflushed: false,
        }
    }

    /// Sends the request and waits for the head of the answer, which is taken from the upstream's input and worded for the caller.
    /// Interim responses are passed on.
    pub(crate) async fn attempt(&mut self, upstream: &mut Wire) -> Result<ResponseFacts, AttemptError> {
        (self.sent, self.broken) = (false, None);
        if !self.unflushed {
            // That of an attempt before, which is not passed on.
            self.answer.clear();
        }
        std::future::poll_fn(|cx| self.poll_attempt(cx, upstream)).await
    }

    /// No further attempt: what was kept goes to the mirrors as soon as the request was passed on whole.
    pub(super) fn settle(&mut self) {
        if self.copies.is_some() && !self.sent {
            return;
        }
        if let (Some(copies), None) = (self.copies.take(), &self.broken)
            && let Some(copy) = Copy::of(&self.request, self.facts)
        {
            copies.send(&Whole::Http1(copy));
        }
        self.request.forget();
    }

    /// Does `work` before anything is sent, unless the caller goes away meanwhile.
    ///
    /// # Errors
    /// The caller's.
    pub(crate) async fn meanwhile<F: Future>(&mut self, work: F) -> io::Result<F::Output> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => match self.poll_caller(cx) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            },
        })
        .await
    }

    fn poll_attempt(&mut self, cx: &mut Context<'_>, upstream: &mut Wire) -> Poll<Result<ResponseFacts, AttemptError>> {
        match self.poll_send(cx, upstream) {
            Ok(()) => {}
            Err(Stop::Malformed(bad)) => {
                // Where the next request begins, nobody can tell.
                self.facts.keep_alive = false;
                return Poll::Ready(Err(AttemptError::BadRequest(bad)));
            }
            Err(Stop::Source(error) | Stop::Sink(error)) => return Poll::Ready(Err(AttemptError::CallerGone(error))),
        }
        loop {
            // The next head is read when this one is on its way: a caller that does not read is not sent more.
            ready!(self.poll_interim(cx))?;
            match self.read_answer(upstream).map_err(AttemptError::BadAnswer)? {
                Some(facts) if facts.status >= 200 || facts.switched => return Poll::Ready(Ok(facts)),
                Some(_) => {
                    self.take_interim().map_err(AttemptError::BadAnswer)?;
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
            // A share of a connection says it when its peer read nothing of it.
            let touched = self.request.has_written() && error.kind() != io::ErrorKind::ConnectionRefused;
            return Poll::Ready(Err(AttemptError::Upstream { error, touched }));
        }
        if self.sent {
            self.poll_caller(cx).map_err(AttemptError::CallerGone)?;
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
        if !upstream.may_hold_head() {
            return head::none_yet(upstream.input.filled());
        }
        let (asked, last) = (self.facts, self.last || !self.may_be_skipped());
        let (out, edits) = (&mut self.answer, self.edits.as_deref());
        let read = head::response(upstream.input.filled(), &asked, |head| {
            write::response(out, head, Manner::of(&asked, &head.facts, last), edits);
            head.facts
        });
        let Some((length, facts)) = read? else { return Ok(None) };
        upstream.take_head(length);
        self.last = if facts.status < 200 { self.last } else { last };
        Ok(Some(facts))
    }

    /// Accepts a 1xx to be passed on (RFC 9110 §15.2), within bounds; a caller of HTTP/1.0 knows none.
    fn take_interim(&mut self) -> Result<(), BadMessage> {
        let left = self.interim_left.checked_sub(self.answer.len().max(INTERIM_BYTES_MIN));
        self.interim_left =
            left.ok_or(BadMessage::new("there are more than 128 interim responses, or 64 KiB of them"))?;
        if self.facts.old {
            self.answer.clear();
        }
        self.unflushed = !self.answer.is_empty();
        Ok(())
    }

    /// Whether the rest of the request is short, as far as is known. Who was to be told to continue may send its body or the next request
    /// (RFC 9110 §10.1.1): nobody knows which.
    pub(super) fn may_be_skipped(&self) -> bool {
        self.request.is_within(SKIPPED_BYTES_MAX) && (!self.facts.expects_continue || self.request.is_read())
    }

    /// What is still to be written of an interim response, before anything else is.
    pub(super) fn take_unwritten(&mut self) -> Buffer {
        if self.unflushed { std::mem::take(&mut self.answer) } else { Buffer::new() }
    }

    /// Passes an interim response on.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        while !self.answer.is_empty() {
            let written = ready!(self.caller.poll_write(cx, self.answer.filled(), &[]));
            self.answer.consume(written.map_err(AttemptError::CallerGone)?);
        }
        if self.unflushed {
            ready!(self.caller.poll_flush(cx)).map_err(AttemptError::CallerGone)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Notices a caller that goes away while the upstream works. What it sends ahead stays for later.
    fn poll_caller(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.caller.input.len() < AHEAD_BYTES_MAX {
            match self.caller.poll_fill(cx) {
                // A half-closed caller may still read (RFC 9112 section 9.6).
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}
