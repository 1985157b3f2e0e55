//! Between requests: waiting for the next head, as long as that may take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::connection::Role;
use super::request::{Request, admit};
use super::wire::Wire;
use super::{BadMessage, head};
use crate::drain::Drain;

/// Time for a head whose first byte is there. Heads come in one piece or two; minutes are for those who hold connections.
const HEAD_LIMIT: Duration = Duration::from_secs(20);

/// Waiting for the next request. Timers are looked at only when nothing else woke the connection, so a busy one pays for none.
pub(super) struct Idle<'a, F> {
    limit: Option<Duration>,
    deadline: Instant,
    sleep: Pin<&'a mut Sleep>,
    silence: Pin<&'a mut F>,
    /// Whether both timers know whom to wake.
    registered: bool,
}

impl<'a, F: Future<Output = ()>> Idle<'a, F> {
    /// `limit` is how long a caller may be silent, `silence` ends when silent connections of a draining proxy do.
    pub(super) fn new(limit: Option<Duration>, sleep: Pin<&'a mut Sleep>, silence: Pin<&'a mut F>) -> Self {
        Self { limit, deadline: Instant::now() + limit.unwrap_or_default(), sleep, silence, registered: false }
    }

    /// The next request; `None` when the connection is over.
    pub(super) async fn next<R: Role>(
        &mut self,
        role: &R,
        caller: &mut Wire,
        drain: &Drain,
    ) -> io::Result<Option<Result<Request<R>, BadMessage>>> {
        // A timer that fired while a request was served woke nobody here: look again.
        let mut look = !self.registered || drain.is_draining();
        // Without a limit the clock is not asked: that is a cost at each request.
        if let Some(limit) = self.limit {
            let now = Instant::now();
            look |= now >= self.deadline;
            self.deadline = now + limit;
        }
        // Whether there is a part of a head.
        let mut begun = false;
        std::future::poll_fn(|cx| {
            loop {
                match Self::parse(role, caller) {
                    Ok(None) => {}
                    Ok(Some(request)) => return Poll::Ready(Ok(Some(Ok(request)))),
                    Err(bad) => return Poll::Ready(Ok(Some(Err(bad)))),
                }
                match caller.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            if !begun && !caller.input.is_empty() && self.limit.is_some() {
                (begun, look) = (true, true);
                self.deadline = Instant::now() + HEAD_LIMIT;
                self.sleep.as_mut().reset(self.deadline.into());
            }
            if std::mem::replace(&mut look, true) && self.is_over(cx) {
                return Poll::Ready(Ok(begun.then_some(Err(BadMessage::late()))));
            }
            Poll::Pending
        })
        .await
    }

    fn parse<R: Role>(role: &R, caller: &mut Wire) -> Result<Option<Request<R>>, BadMessage> {
        if !caller.may_hold_head() {
            return head::none_yet(caller.input.filled());
        }
        let Some((length, request)) = head::request(caller.input.filled(), |head| admit(role, head))? else {
            return Ok(None);
        };
        caller.take_head(length);
        request.map(Some)
    }

    /// Whether the time for a head is over, or that of a silent connection of a draining proxy.
    #[cold]
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.registered = true;
        while self.limit.is_some() && self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return true;
            }
            self.sleep.as_mut().reset(self.deadline.into());
        }
        self.silence.as_mut().poll(cx).is_ready()
    }
}
