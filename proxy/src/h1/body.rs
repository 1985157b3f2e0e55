//! A message on its way from one connection to another: its head first, then the body as it arrives, framed anew.
//!
//! A body of known length is passed on from where it was read. Chunks are decoded and coded again, so that nothing of the sender's
//! framing reaches the next reader. While a request may have to be sent again, everything written of it is kept.

mod chunk;

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use tulle_core::codes::Reason;

use super::BadMessage;
use super::chunked::{Chunked, Piece};
use super::fields::Fields;
use super::head::{Framing, has_bare_line_feed};
use super::wire::Wire;
use crate::buffer::Buffer;
use chunk::Chunk;

/// Most of a request that is kept for another attempt.
const REPLAY_BYTES_MAX: usize = 64 * 1024;
/// Most lines of a trailer section.
const TRAILERS_MAX: usize = 64;
/// Length of an empty line.
const LINE_END: usize = 2;
/// Coded bytes gathered before they are written.
const GATHERED_BYTES: usize = 32 * 1024;

/// Why a message was not passed on whole.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The sender's connection failed, or ended within the message.
    Source(io::Error),
    /// The sender broke the rules.
    Malformed(BadMessage),
    /// The receiver's connection failed.
    Sink(io::Error),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => write!(f, "its sender broke off: {error}"),
            Self::Malformed(bad) => write!(f, "{bad}"),
            Self::Sink(error) => write!(f, "its receiver broke off: {error}"),
        }
    }
}

impl Stop {
    /// What it means for a request whose answer has begun.
    pub(super) fn of_request(&self) -> Reason {
        match self {
            Self::Source(_) => Reason::CallerGone,
            Self::Malformed(_) => Reason::BadRequest,
            Self::Sink(_) => Reason::UpstreamReset,
        }
    }

    /// What it means for an answer.
    pub(super) fn of_answer(&self) -> Reason {
        match self {
            Self::Source(_) => Reason::UpstreamReset,
            Self::Malformed(_) => Reason::BadResponse,
            Self::Sink(_) => Reason::CallerGone,
        }
    }
}

/// How the rest of a body is read.
#[derive(Clone, Copy, Debug)]
enum Source {
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Message {
    source: Source,
    /// Whether the receiver gets chunks.
    chunks: bool,
    /// The head and coded bytes.
    out: Buffer,
    /// Bytes of `out` that were written; more than 0 only while they are kept.
    written: usize,
    /// Whether what was written is kept for another attempt.
    kept: bool,
    /// Body bytes passed on, without framing.
    pub(crate) passed: u64,
    flushed: bool,
    /// Whether any byte was handed to the receiver since the beginning.
    touched: bool,
}

impl Message {
    /// A message whose head is in `out` and whose body follows on the sender's connection.
    pub(crate) fn new(out: Buffer, framing: Framing, chunks: bool, kept: bool) -> Self {
        let source = match framing {
            Framing::Length(0) => Source::Done,
            Framing::Length(length) => Source::Length(length),
            Framing::Chunked => Source::Chunked(Chunked::new()),
            Framing::Close => Source::Close,
        };
        Self { source, chunks, out, written: 0, kept, passed: 0, flushed: false, touched: false }
    }

    /// Passes on what there is. Ready when the whole message was written and flushed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire) -> Poll<Result<(), Stop>> {
        loop {
            let direct = self.direct(from);
            let pending = &self.out.filled()[self.written..];
            if !pending.is_empty() || direct > 0 {
                match to.poll_write(cx, pending, &from.input.filled()[..direct]) {
                    Poll::Ready(Ok(count)) => self.wrote(count, from),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Sink(error))),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            if self.code(from).map_err(Stop::Malformed)? {
                continue;
            }
            if !self.flushed {
                match to.poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.flushed = true,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Sink(error))),
                    Poll::Pending if self.is_read() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            if self.is_read() {
                return Poll::Ready(Ok(()));
            }
            match from.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.ended()?,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Source(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads the rest of the body and drops it. Ready when it was read; `limit` counts down.
    pub(crate) fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Wire,
        limit: &mut usize,
    ) -> Poll<Result<(), Stop>> {
        loop {
            self.forget();
            self.out.clear();
            let direct = self.direct(from);
            self.use_direct(direct, from);
            if self.code(from).map_err(Stop::Malformed)? || direct > 0 {
                continue;
            }
            if self.is_read() {
                return Poll::Ready(Ok(()));
            }
            match from.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.ended()?,
                Poll::Ready(Ok(count)) if count <= *limit => *limit -= count,
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(Stop::Source(io::ErrorKind::FileTooLarge.into()))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Source(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether the whole body was read.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    /// Whether no more than so many bytes of the body are still to come, as far as its head told.
    pub(crate) fn is_within(&self, bytes: usize) -> bool {
        match self.source {
            Source::Length(left) => left <= bytes as u64,
            Source::Chunked(_) | Source::Done => true,
            Source::Close => false,
        }
    }

    /// The request as its receiver got it, where it was read to its end and is still kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (self.kept && self.is_read()).then(|| self.out.filled())
    }

    /// Begins again, for another attempt. False: the beginning is gone.
    pub(crate) fn rewind(&mut self) -> bool {
        (self.written, self.flushed, self.touched) = (0, false, false);
        self.kept
    }

    /// Whether any byte was handed to the receiver since the beginning.
    pub(crate) fn has_written(&self) -> bool {
        self.touched
    }

    /// No further attempt: what was kept is of no more use.
    pub(crate) fn forget(&mut self) {
        self.kept = false;
        self.out.consume(std::mem::take(&mut self.written));
        self.out.release();
    }

    /// How many bytes of the input go out as they are.
    fn direct(&self, from: &Wire) -> usize {
        let copied = self.chunks || self.kept;
        match self.source {
            Source::Length(left) if !copied => usize::try_from(left).unwrap_or(usize::MAX).min(from.input.len()),
            Source::Close if !copied => from.input.len(),
            _ => 0,
        }
    }

    fn wrote(&mut self, count: usize, from: &mut Wire) {
        (self.flushed, self.touched) = (false, true);
        let of_out = count.min(self.out.len() - self.written);
        if self.kept {
            self.written += of_out;
        } else {
            self.out.consume(of_out);
        }
        self.use_direct(count - of_out, from);
    }

    fn use_direct(&mut self, count: usize, from: &mut Wire) {
        from.input.consume(count);
        self.passed += count as u64;
        if let Source::Length(left) = &mut self.source {
            *left -= count as u64;
            if *left == 0 {
                self.source = Source::Done;
            }
        }
    }

    /// Codes input into `out`; whether there was anything to code.
    fn code(&mut self, from: &mut Wire) -> Result<bool, BadMessage> {
        let before = self.out.len();
        let mut chunk = None;
        let gathered = self.gather(from, before, &mut chunk);
        // Whatever follows: what the head of an open chunk says is not true yet.
        if let Some(chunk) = chunk {
            chunk.end(&mut self.out);
        }
        gathered?;
        let coded = self.out.len() > before;
        if self.kept && self.out.len() > REPLAY_BYTES_MAX {
            self.kept = false;
            self.out.consume(std::mem::take(&mut self.written));
        }
        Ok(coded)
    }

    /// Codes input until enough has come together; data goes into `chunk`, which may stay open.
    fn gather(&mut self, from: &mut Wire, before: usize, chunk: &mut Option<Chunk>) -> Result<(), BadMessage> {
        while !self.is_read() && !from.input.is_empty() && self.out.len() - before < GATHERED_BYTES {
            let (skip, data) = match &mut self.source {
                Source::Length(left) => {
                    let data = usize::try_from(*left).unwrap_or(usize::MAX).min(from.input.len());
                    *left -= data as u64;
                    (0, data)
                }
                Source::Close => (0, from.input.len()),
                Source::Chunked(chunked) => match chunked.next(from.input.filled())? {
                    (skip, Piece::Data(data)) => (skip, data),
                    (skip, Piece::More) => {
                        from.input.consume(skip);
                        break;
                    }
                    (skip, Piece::End(trailers)) => {
                        from.input.consume(skip);
                        if let Some(chunk) = chunk.take() {
                            chunk.end(&mut self.out);
                        }
                        self.end(&from.input.filled()[..trailers])?;
                        from.input.consume(trailers);
                        break;
                    }
                },
                Source::Done => break,
            };
            from.input.consume(skip);
            if self.chunks && data > 0 && chunk.is_none() {
                *chunk = Some(Chunk::begin(&mut self.out, data));
            }
            self.out.extend(&from.input.filled()[..data]);
            from.input.consume(data);
            self.passed += data as u64;
            if matches!(self.source, Source::Length(0)) {
                self.source = Source::Done;
            }
        }
        Ok(())
    }

    /// The last chunk and the trailers. A receiver without chunks gets no trailers: it has no place for them.
    fn end(&mut self, trailers: &[u8]) -> Result<(), BadMessage> {
        self.source = Source::Done;
        if !self.chunks {
            return Ok(());
        }
        self.out.extend(b"0\r\n");
        if trailers.len() <= LINE_END {
            self.out.extend(b"\r\n");
            return Ok(());
        }
        let mut lines = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let parsed = httparse::parse_headers(trailers, &mut lines);
        let Ok(httparse::Status::Complete((_, lines))) = parsed else {
            return Err(BadMessage::new("the trailer section is malformed"));
        };
        if has_bare_line_feed(trailers) {
            return Err(BadMessage::new("a line of the trailer section does not end with CRLF"));
        }
        for field in Fields::classify(lines)?.trailers() {
            for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                self.out.extend(part);
            }
        }
        self.out.extend(b"\r\n");
        Ok(())
    }

    /// The sender's connection ended.
    fn ended(&mut self) -> Result<(), Stop> {
        if !matches!(self.source, Source::Close) {
            return Err(Stop::Source(io::ErrorKind::UnexpectedEof.into()));
        }
        self.source = Source::Done;
        if self.chunks {
            self.out.extend(b"0\r\n\r\n");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
