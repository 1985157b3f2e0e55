//! A request whose head is there: judged, and worded for whom it goes to.

use std::borrow::Cow;

use tulle_core::codes::Reason;
use tulle_core::path;
use tulle_core::route::RequestView;

use super::connection::Role;
use super::fields::Fields;
use super::head::{RequestFacts, RequestHead, Switch, Target};
use super::{BadMessage, write};
use crate::admission::{Changes, Reply};
use crate::buffer::Buffer;
use crate::error::{Failure, Refusal};
use crate::http::Version;
use crate::record::{Arrival, Record};

/// A request whose head was read.
pub(super) struct Request<R: Role> {
    pub(super) record: Record,
    pub(super) admitted: Result<R::Ticket, Reply<R::Given>>,
    pub(super) facts: RequestFacts,
    /// Its head as the upstream gets it.
    pub(super) out: Buffer,
}

/// Judges the request at the front of `input` and writes its head for the upstream.
pub(super) fn admit<R: Role>(role: &R, head: &RequestHead<'_>) -> Result<Request<R>, BadMessage> {
    let arrival = Arrival::now(Version::H1, head.facts.grpc);
    let mut out = Buffer::new();
    let target = Target::parse(head.method, head.target)?;
    // CONNECT has no path; what goes through its tunnel is for the rules about bytes.
    let judged = head.facts.switch != Switch::Connect && role.judges_paths();
    let normal = if judged { path::normalize(target.path) } else { Ok(Cow::Borrowed(target.path)) };
    let (path, bad) = match normal {
        Ok(path) => (path, None),
        Err(bad) => (Cow::Borrowed(target.path), Some(bad)),
    };
    let authority = target.authority.or(head.host);
    let view = View { method: head.method, path: &path, query: target.query, authority, fields: &head.fields };
    let trace = role.trace(&view);
    let mut record = role.record(&view, arrival, trace.as_ref());
    let admitted = match bad {
        Some(bad) => Err(Failure::new(Reason::BadRequest, format!("path: {bad}")).into()),
        None => role.admit(&view, &mut record),
    };
    if let Ok(ticket) = &admitted {
        let changes = Changes { trace: trace.as_ref(), ..role.changes(ticket).unwrap_or_default() };
        write::request(&mut out, head, &target, &path, &role.dialled(), &changes);
    }
    Ok(Request { record, admitted, facts: head.facts, out })
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
