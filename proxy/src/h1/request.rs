//! A request whose head is there: judged, and worded for whom it goes to.

use std::borrow::Cow;
use std::time::Instant;

use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::route::RequestView;

use super::connection::Role;
use super::fields::{Field, Fields};
use super::head::{RequestFacts, RequestHead, Switch, Target};
use super::{BadMessage, write};
use crate::admission::Reply;
use crate::buffer::Buffer;
use crate::error::{Failure, Refusal};

/// A request whose head was read.
pub(super) struct Request<R: Role> {
    pub(super) admitted: Result<R::Ticket, Reply<R::Given>>,
    pub(super) facts: RequestFacts,
    /// Its head as the upstream gets it.
    pub(super) out: Buffer,
    pub(super) started: Instant,
}

/// Judges the request at the front of `input` and writes its head for the upstream.
pub(super) fn admit<R: Role>(role: &R, head: &RequestHead<'_>) -> Result<Request<R>, BadMessage> {
    let started = Instant::now();
    let mut out = Buffer::new();
    let target = Target::parse(head.method, head.target)?;
    // CONNECT has no path; what goes through its tunnel is for the rules about bytes.
    let judged = head.facts.switch != Switch::Connect && role.judges_paths();
    let normal = if judged { path::normalize(target.path) } else { Ok(Cow::Borrowed(target.path)) };
    let admitted = match normal {
        Err(bad) => Err(Failure::new(Reason::BadRequest, format!("path: {bad}")).into()),
        Ok(path) => {
            let host = || head.fields.first(Field::Host).and_then(|host| std::str::from_utf8(host).ok());
            let authority = target.authority.or_else(host);
            let view = View { method: head.method, path: &path, query: target.query, authority, fields: &head.fields };
            let admitted = role.admit(&view, started);
            let changes = admitted.as_ref().ok().and_then(|ticket| role.changes(ticket)).unwrap_or_default();
            write::request(&mut out, head, &target, &path, &role.dialled(), &changes);
            admitted
        }
    };
    Ok(Request { admitted, facts: head.facts, out, started })
}

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    authority: Option<&'a str>,
    fields: &'a Fields<'a>,
}

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }
}

impl From<BadMessage> for Refusal {
    fn from(bad: BadMessage) -> Self {
        Failure::new(bad.reason, bad.rule).into()
    }
}
