//! One attempt: the request goes out on an upstream's connection, and the head of its answer comes back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Response;

use super::client::Sender;
use super::flow::{Flow, Stop};
use super::head::Head;
use crate::http::INTERIM_MAX;
use crate::mirror::{Copies, Whole};

/// A request being served: the caller's stream and the message on its way to an upstream.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) head: Head,
    pub(super) request: Flow,
    pub(super) respond: SendResponse<Bytes>,
    /// Who gets a copy of the request.
    pub(super) copies: Option<Box<Copies>>,
    /// Interim responses that were passed on.
    pub(super) interim: u16,
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) response: Response<RecvStream>,
    pub(super) upload: Upload,
}

/// The request's way to its upstream.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) to: SendStream<Bytes>,
    /// Whether it was passed on whole, or the upstream takes no more of it.
    pub(super) over: bool,
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The caller went away.
    CallerGone,
    /// The upstream did not answer.
    Upstream {
        /// How.
        error: h2::Error,
        /// Whether it is certain that it processed nothing (RFC 9113 §8.7).
        unprocessed: bool,
    },
}

impl AttemptError {
    /// The reason the upstream gave when it reset the stream.
    pub(crate) fn reset(&self) -> Option<Reason> {
        match self {
            Self::Upstream { error, .. } if error.is_reset() && error.is_remote() => error.reason(),
            _ => None,
        }
    }

    /// Whether the connection as a whole failed: then this request may merely have been on one that its peer had closed.
    pub(crate) fn lost_connection(&self) -> bool {
        matches!(self, Self::Upstream { error, .. } if error.is_io() || error.is_go_away())
    }

    fn answering(error: h2::Error) -> Self {
        // Streams above the last one a GOAWAY names end with its error; those below go on.
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let unprocessed = error.is_remote() && (refused || error.is_go_away());
        Self::Upstream { error, unprocessed }
    }
}

impl Exchange {
    /// Sends the request and waits for the head of the answer. Interim responses are passed on (RFC 9110 §15.2).
    pub(crate) async fn attempt(&mut self, sender: &Sender) -> Result<Started, AttemptError> {
        // Of a stream that was reset at once nothing needs to leave this proxy.
        if std::future::poll_fn(|cx| Poll::Ready(self.respond.poll_reset(cx).is_ready())).await {
            return Err(AttemptError::CallerGone);
        }
        let sent = sender.send(self.head.request(), self.request.is_closed());
        let (mut answer, to) = sent.map_err(|error| AttemptError::Upstream { error, unprocessed: true })?;
        let mut upload = Upload { to, over: self.request.is_closed() };
        let response = std::future::poll_fn(|cx| self.poll_attempt(cx, &mut answer, &mut upload)).await?;
        Ok(Started { response, upload })
    }

    /// No further attempt: what was kept goes to the mirrors as soon as the request was passed on whole.
    pub(super) fn settle(&mut self) {
        if self.copies.is_some() && !self.request.is_closed() {
            return;
        }
        if let Some(copies) = self.copies.take()
            && let Some((body, trailers)) = self.request.whole()
        {
            copies.send(&Whole::Http2 { head: Box::new(self.head.copy()), body, trailers });
        }
        self.request.forget();
    }

    /// Holds the request up, as a rule may ask.
    pub(super) async fn hold(&mut self, delay: Duration) -> Result<(), AttemptError> {
        let mut sleep = std::pin::pin!(tokio::time::sleep(delay));
        std::future::poll_fn(|cx| match (sleep.as_mut().poll(cx), self.respond.poll_reset(cx)) {
            (_, Poll::Ready(_)) => Poll::Ready(Err(AttemptError::CallerGone)),
            (Poll::Ready(()), _) => Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        })
        .await
    }

    /// Begins the request again, for another attempt. False: its beginning is gone.
    pub(crate) fn rewind(&mut self) -> bool {
        self.request.rewind()
    }

    fn poll_attempt(
        &mut self,
        cx: &mut Context<'_>,
        answer: &mut ResponseFuture,
        upload: &mut Upload,
    ) -> Poll<Result<Response<RecvStream>, AttemptError>> {
        if !upload.over {
            match self.request.poll(cx, &mut upload.to) {
                // An upstream that takes no more may have answered: its answer, or why there is none, comes below.
                Poll::Ready(Ok(()) | Err(Stop::Sink)) => upload.over = true,
                Poll::Ready(Err(Stop::Source(_))) => return Poll::Ready(Err(AttemptError::CallerGone)),
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(answered) = self.poll_answer(cx, answer) {
            return Poll::Ready(answered.map_err(AttemptError::answering));
        }
        match self.respond.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(Err(AttemptError::CallerGone)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        answer: &mut ResponseFuture,
    ) -> Poll<Result<Response<RecvStream>, h2::Error>> {
        loop {
            match answer.poll_informational(cx) {
                // Each is kept until the caller takes it.
                Poll::Ready(Some(Ok(_))) if self.interim == INTERIM_MAX => {
                    return Poll::Ready(Err(Reason::ENHANCE_YOUR_CALM.into()));
                }
                Poll::Ready(Some(Ok(interim))) => {
                    self.interim += 1;
                    // A caller that went away is noticed elsewhere.
                    let _ = self.respond.send_informational(interim);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Pin::new(answer).poll(cx),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
