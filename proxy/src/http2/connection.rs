//! A caller's connection: its streams are served as they come, until one side has had enough or the proxy drains.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;

use super::bells::{Bells, Part};
use super::meter::Meter;
use super::outbox::{Outbox, Wired};
use super::stream::{self, Ending, Role};
use super::{
    CONNECTION_WINDOW_BYTES, HEADERS_BYTES_MAX, PING_TIMEOUT, STREAM_UNWRITTEN_BYTES_MAX, STREAM_WINDOW_BYTES,
    STREAMS_MAX, keepalive,
};
use crate::drain::Drain;
use crate::io::Stream;

/// What became of something the connection waits for.
enum Event {
    /// A stream has ended.
    Ended(Ending),
    /// The proxy leaves, or the connection has lived long enough.
    Leaving,
    /// The peer has vanished.
    Silent,
}

/// Streams of a connection that were opened to be reset (CVE-2023-44487, CVE-2025-8671).
#[derive(Debug, Default)]
struct GivenUp {
    at_once: u32,
    other: u32,
}

/// Streams that a connection makes us reset by breaking rules, over its life; h2's own 1,024 are nine times the attacker's CPU time.
const RESETS_MADE_MAX: usize = 256;
/// Fewer are no attack.
const GIVEN_UP_MAX: u32 = 100;

impl GivenUp {
    /// Counts a stream. True, once: there are many, and more than of any other kind.
    fn note(&mut self, ending: Ending) -> bool {
        match ending {
            Ending::GivenUpAtOnce => self.at_once += 1,
            Ending::Other => self.other = self.other.saturating_add(1),
        }
        let many = self.at_once > GIVEN_UP_MAX && self.at_once > self.other;
        if many {
            // Those that are on their way are not told again.
            *self = Self { at_once: 0, other: u32::MAX };
        }
        many
    }
}

/// What the connection waits for besides streams; boxed, for it is rare and a stream is not.
type Rare<'a> = Pin<Box<dyn Future<Output = Event> + 'a>>;

/// Serves a connection until it ends.
///
/// # Errors
/// The peer broke the rules, or its connection failed.
pub(crate) async fn serve<R: Role>(role: &R, stream: Stream, drain: &Drain) -> io::Result<()> {
    let outbox = Outbox::new(stream, Meter::of_caller());
    let served = converse(role, &outbox, drain).await;
    if served.is_err() {
        // Boxed: it is rare, and has a buffer of its own.
        Box::pin(outbox.linger()).await;
    }
    served
}

async fn converse<R: Role>(role: &R, outbox: &Outbox, drain: &Drain) -> io::Result<()> {
    let handshake = tokio::time::timeout(PING_TIMEOUT, shake_hands(outbox)).await;
    let mut connection = handshake.map_err(io::Error::from)?.map_err(into_io)?;
    let mut work = FuturesUnordered::new();
    let pings = connection.ping_pong();
    let drained: Rare<'_> = Box::pin(async {
        drain.started().await;
        Event::Leaving
    });
    work.push(Either::Right(drained));
    if let Some(age) = role.connection_age() {
        let aged: Rare<'_> = Box::pin(async move {
            tokio::time::sleep(jittered(age, fastrand::f64())).await;
            Event::Leaving
        });
        work.push(Either::Right(aged));
    }
    if let Some(pings) = pings {
        let silent: Rare<'_> = Box::pin(async {
            keepalive::silence(pings).await;
            Event::Silent
        });
        work.push(Either::Right(silent));
    }
    let bells = Bells::new();
    let mut told = false;
    let mut given_up = GivenUp::default();
    std::future::poll_fn(|cx| {
        bells.poll(cx, |part, cx| match part {
            Part::Streams => {
                while let Poll::Ready(Some(event)) = work.poll_next_unpin(cx) {
                    match event {
                        Event::Ended(ending) => {
                            if given_up.note(ending) {
                                // A peer's proxy speaks for many callers: their other requests are finished.
                                if outbox.is_meshed() {
                                    connection.graceful_shutdown();
                                } else {
                                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                                }
                                bells.ring(Part::Connection);
                            }
                        }
                        Event::Leaving => {
                            connection.graceful_shutdown();
                            bells.ring(Part::Connection);
                        }
                        Event::Silent => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    }
                }
                Poll::Pending
            }
            Part::Connection => poll_connection(cx, &mut connection, outbox, &mut told, |request, respond| {
                work.push(Either::Left(stream::serve(role, request, respond).map(Event::Ended)));
                bells.ring(Part::Streams);
            }),
        })
    })
    .await
}

/// Up to a tenth less than `age`, so that connections that were opened together do not end together. `draw` is below 1.
fn jittered(age: Duration, draw: f64) -> Duration {
    age.mul_f64(1.0 - draw / 10.0)
}

async fn shake_hands(outbox: &Outbox) -> Result<Connection<Wired, Bytes>, h2::Error> {
    Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_local_error_reset_streams(Some(RESETS_MADE_MAX))
        .max_send_buffer_size(STREAM_UNWRITTEN_BYTES_MAX)
        .handshake(outbox.wire())
        .await
}

/// Reads, accepts, writes. Ready when the connection has ended. `told`: whether a peer that floods has been told so.
fn poll_connection(
    cx: &mut Context<'_>,
    connection: &mut Connection<Wired, Bytes>,
    outbox: &Outbox,
    told: &mut bool,
    mut accept: impl FnMut(Request<RecvStream>, SendResponse<Bytes>),
) -> Poll<io::Result<()>> {
    loop {
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => accept(request, respond),
            Poll::Ready(_) if outbox.is_flooded() => return Poll::Ready(Err(io::Error::other("the peer floods"))),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(into_io(error))),
            Poll::Ready(None) => return Poll::Ready(Ok(())),
            // Ready soon, with what is open reset.
            Poll::Pending if outbox.is_flooded() && !*told => {
                *told = true;
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            Poll::Pending => break,
        }
    }
    match outbox.poll_flush(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    } else {
        io::Error::other(error)
    }
}
