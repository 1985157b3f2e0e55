//! Which other object takes everything before this one is asked.
//!
//! Rules of several objects for one host add up list by list, the oldest object first. What stands behind a rule without conditions is
//! never reached. Of two wildcards for one namespace only the longer is asked.

use std::sync::Arc;

use tulle_core::codes::Code;
use tulle_core::host::Host;
use tulle_core::route::bytes::ByteRule;
use tulle_core::route::{Destination, Export, Rank};
use tulle_crds::into_core::{Ctx, VirtualService};
use tulle_crds::status::{ConditionType, Finding, Reason};

use super::delegates;
use crate::desired::report::sentence;
use crate::world::World;

/// The other object.
pub(super) struct Winner {
    rank: Rank,
    /// The list in which it wins.
    list: List,
    /// By what: its rule without conditions, as the older one, or else its host.
    rule: Option<Arc<str>>,
}

/// A list of rules; each is asked by itself.
#[derive(Clone, Copy)]
enum List {
    Http,
    Tls,
    Tcp,
}

impl Winner {
    /// The one over all of an object's hosts and lists: where only some are taken, the object still decides for the others.
    pub(super) fn over(
        routes: &VirtualService,
        neighbours: &[VirtualService],
        world: &World,
        ctx: &Ctx,
    ) -> Option<Winner> {
        let others = neighbours.iter().filter(|other| other.rank != routes.rank && reaches(other, routes));
        let mut others: Vec<_> = others.collect();
        others.sort_by(|a, b| a.rank.cmp(&b.rank));
        let over = |list: List, host: &Host| {
            let won = |other: &VirtualService, rule| Winner { rank: other.rank.clone(), list, rule };
            let longer = others.iter().find(|other| other.hosts.iter().any(|theirs| is_longer(theirs, host)));
            let older = others.iter().filter(|other| other.rank < routes.rank && other.hosts.contains(host));
            let by_age = || older.clone().find_map(|other| Some(won(other, Some(list.open(other, world, ctx)?))));
            longer.map(|other| won(other, None)).or_else(by_age)
        };
        let said = [List::Http, List::Tls, List::Tcp].into_iter().filter(|list| list.is_used(routes));
        let claims = said.flat_map(|list| routes.hosts.iter().map(move |host| (list, host)));
        claims.map(|(list, host)| over(list, host)).reduce(|first, next| next.and(first)).flatten()
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.rank.namespace, self.rank.name)
    }

    pub(super) fn finding(&self, routes: &VirtualService) -> Finding {
        let (host, takes) = (&routes.hosts[0], self.list.takes());
        let reason = match &self.rule {
            Some(rule) => format!("every {takes} to {host} is taken already by the older {rule}"),
            None => format!("every {takes} to {host} is for VirtualService {}, whose host is longer", self.name()),
        };
        Finding::is_false(
            ConditionType::Accepted,
            Reason::Conflicted,
            sentence(Code::Conflicting, "spec.hosts[0]", &reason),
        )
    }
}

impl List {
    /// Whether an object says anything in it.
    fn is_used(self, routes: &VirtualService) -> bool {
        match self {
            List::Http => !routes.rules.is_empty(),
            List::Tls => !routes.bytes.tls.is_empty(),
            List::Tcp => !routes.bytes.tcp.is_empty(),
        }
    }

    /// The rule of an object that takes everything, if it has one.
    fn open(self, of: &VirtualService, world: &World, ctx: &Ctx) -> Option<Arc<str>> {
        let bytes = |rules: &[ByteRule<Destination>]| {
            rules.iter().find(|rule| rule.takes_all()).map(|rule| Arc::clone(&rule.name))
        };
        match self {
            List::Http => {
                let composed = delegates::composed(of, world, ctx);
                composed.rules.iter().find(|rule| rule.takes_all()).map(|rule| Arc::clone(&rule.name))
            }
            List::Tls => bytes(&of.bytes.tls),
            List::Tcp => bytes(&of.bytes.tcp),
        }
    }

    fn takes(self) -> &'static str {
        match self {
            List::Http => "request",
            List::Tls => "TLS connection",
            List::Tcp => "connection",
        }
    }
}

/// Whether one of two wildcards leaves nothing to the other.
fn is_longer(theirs: &Host, ours: &Host) -> bool {
    theirs.service().is_none() && theirs < ours && theirs.namespace() == ours.namespace()
}

/// Whether every proxy that follows `routes` follows `other` as well, as far as that is plain.
fn reaches(other: &VirtualService, routes: &VirtualService) -> bool {
    other.export == Export::Everywhere || other.export == routes.export
}
