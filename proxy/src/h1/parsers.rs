//! HTTP/1 for the fuzz targets: heads as they are forwarded, and the decoder of chunks.

use tulle_core::path;

use super::chunked::{Chunked, Piece};
use super::head::{self, Framing, RequestFacts, Switch, Target};
use super::write::{self, Manner};
use crate::admission::Changes;
use crate::buffer::Buffer;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunks,
    /// To the end of the connection.
    Close,
}

impl From<Framing> for Framed {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunks,
            Framing::Close => Self::Close,
        }
    }
}

/// A request as it was read, and its head as the upstream gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in the head
pub struct Request {
    pub length: usize,
    pub method: String,
    pub path: String,
    pub framing: Framed,
    pub switches: bool,
    pub expects_continue: bool,
    pub forwarded: Vec<u8>,
}

/// Reads a request's head and forwards it, changed by no rule; `None`: it is not complete.
///
/// # Errors
/// The rule it broke.
pub fn request(input: &[u8]) -> Result<Option<Request>, String> {
    let read = head::request(input, |head| {
        let target = Target::parse(head.method, head.target).map_err(|bad| bad.rule.to_owned())?;
        let tunnel = head.facts.switch == Switch::Connect;
        let path = if tunnel { Ok(target.path.into()) } else { path::normalize(target.path) };
        let path = path.map_err(|bad| bad.to_string())?;
        let mut out = Buffer::new();
        write::request(&mut out, head, &target, &path, &"dialled:80", &Changes::default());
        Ok(Request {
            length: 0,
            method: head.method.to_owned(),
            path: path.into_owned(),
            framing: head.facts.framing.into(),
            switches: head.facts.switch != Switch::No,
            expects_continue: head.facts.expects_continue,
            forwarded: out.filled().to_vec(),
        })
    });
    let Some((length, request)) = read.map_err(|bad| bad.rule.to_owned())? else { return Ok(None) };
    request.map(|request| Some(Request { length, ..request }))
}

/// What a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // methods and the header
pub enum Asked {
    Get,
    Head,
    Upgrade,
    Connect,
}

/// A response as it was read, and its head as the caller gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in the head
pub struct Response {
    pub length: usize,
    pub status: u16,
    pub framing: Framed,
    pub switched: bool,
    pub unprocessed: bool,
    pub forwarded: Vec<u8>,
}

/// Reads a response's head and forwards it to an HTTP/1.1 caller, changed by no rule; `None`: it is not complete.
/// A body that ends with the connection is forwarded in chunks, and told so.
///
/// # Errors
/// The rule it broke.
pub fn response(input: &[u8], asked: Asked) -> Result<Option<Response>, String> {
    let facts = facts(asked);
    let read = head::response(input, &facts, |head| {
        let mut out = Buffer::new();
        let manner = Manner::of(&facts, &head.facts, false);
        write::response(&mut out, head, manner, None);
        Response {
            length: 0,
            status: head.facts.status,
            framing: if manner.chunked { Framed::Chunks } else { head.facts.framing.into() },
            switched: head.facts.switched,
            unprocessed: head.facts.unprocessed,
            forwarded: out.filled().to_vec(),
        }
    });
    let read = read.map_err(|bad| bad.rule.to_owned())?;
    Ok(read.map(|(length, response)| Response { length, ..response }))
}

fn facts(asked: Asked) -> RequestFacts {
    RequestFacts {
        framing: Framing::Length(0),
        keep_alive: true,
        old: false,
        head_only: asked == Asked::Head,
        switch: match asked {
            Asked::Upgrade => Switch::Upgrade,
            Asked::Connect => Switch::Connect,
            Asked::Get | Asked::Head => Switch::No,
        },
        expects_continue: false,
        idempotent: true,
        grpc: false,
    }
}

/// So many bytes of data, or, with true, of trailers at the end. `None`: more is needed.
pub(crate) type Following = Option<(usize, bool)>;

/// The decoder of chunked bodies.
#[derive(Debug)]
pub struct Dechunker(Chunked);

impl Default for Dechunker {
    fn default() -> Self {
        Self(Chunked::new())
    }
}

impl Dechunker {
    /// How many bytes to skip, and what follows them.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Following), &'static str> {
        let (skip, piece) = self.0.next(input).map_err(|bad| bad.rule)?;
        Ok(match piece {
            Piece::Data(count) => (skip, Some((count, false))),
            Piece::End(count) => (skip, Some((count, true))),
            Piece::More => (skip, None),
        })
    }
}
