//! A way of requests through a data thread: the rule that took them, the backend the split chose, and where they are counted.
//!
//! Found once for each rule and backend of a snapshot. A request holds one reference of its own thread to it instead of copies of what
//! rule and Service say, so no count is shared between threads.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use tulle_core::name::ServiceRef;
use tulle_core::route::bytes::ByteRule;
use tulle_core::route::filter::Edits;
use tulle_core::route::{Branch, Mirror, Rule};
use tulle_core::snapshot::{Backend, Destination, Port, Service};

use super::View;
use crate::metrics::cells::{HttpCells, MirrorCells};

/// What was chosen of a rule, or port, and backend, by address. The lane keeps both alive.
pub(super) type Key = (*const (), *const Backend);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The Service as dialled, or the pod.
    pub(crate) service: ServiceRef,
    /// Where the rule stands; `None`: a pod.
    origin: Option<Origin>,
    pub(crate) view: Rc<View>,
    /// What rule and branch change of every request; `None`: nothing.
    edits: Option<Edits>,
    /// Where its requests are counted: in plaintext, over mutual TLS.
    cells: [OnceCell<Arc<HttpCells>>; 2],
    /// Where copies on it are counted, if it leads to a mirror.
    mirrored: OnceCell<Arc<MirrorCells>>,
}

/// A rule, and what of it was drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chosen<'a> {
    /// A branch of a rule for requests.
    Branch(&'a Rule<Arc<Destination>>, &'a Branch<Arc<Destination>>),
    /// A mirror of a rule for requests.
    Mirror(&'a Rule<Arc<Destination>>, &'a Mirror<Arc<Destination>>),
    /// A destination of a rule for bytes.
    Bytes(&'a ByteRule<Arc<Destination>>, &'a Arc<Destination>),
}

/// A port of a Service, and one of its rules unless none took the request.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    service: Arc<Service>,
    port: usize,
    rule: Option<Place>,
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Among those for requests.
    Request(usize),
    /// Among those for bytes.
    Bytes(usize),
}

impl Origin {
    pub(super) fn new(service: &Arc<Service>, port: &Port, chosen: Option<Chosen<'_>>) -> Self {
        let place = service.ports.iter().position(|other| std::ptr::eq(other, port));
        let place = place.expect("the port is one of the Service's");
        let rule = chosen.and_then(|chosen| match chosen {
            Chosen::Branch(rule, _) | Chosen::Mirror(rule, _) => {
                port.routes.rules.iter().position(|other| std::ptr::eq(other, rule)).map(Place::Request)
            }
            Chosen::Bytes(rule, _) => port.bytes.rules().position(|other| std::ptr::eq(other, rule)).map(Place::Bytes),
        });
        Self { service: Arc::clone(service), port: place, rule }
    }

    /// What identifies it while the Service lives.
    pub(super) fn key(port: &Port, chosen: Option<Chosen<'_>>) -> *const () {
        match chosen {
            None => std::ptr::from_ref(port).cast(),
            Some(Chosen::Branch(_, branch)) => std::ptr::from_ref(branch).cast(),
            Some(Chosen::Mirror(_, mirror)) => std::ptr::from_ref(mirror).cast(),
            Some(Chosen::Bytes(_, destination)) => std::ptr::from_ref(destination).cast(),
        }
    }
}

impl Lane {
    pub(super) fn new(service: ServiceRef, origin: Option<Origin>, view: Rc<View>, chosen: Option<Chosen<'_>>) -> Self {
        let edits = match chosen {
            Some(Chosen::Branch(rule, branch)) => Some(branch.edits.clone().then(&rule.filters.edits)),
            Some(Chosen::Mirror(..) | Chosen::Bytes(..)) | None => None,
        };
        let edits = edits.filter(|edits| *edits != Edits::default());
        Self { service, origin, view, edits, cells: Default::default(), mirrored: OnceCell::new() }
    }

    /// What rule and branch change of every request.
    pub(crate) fn edits(&self) -> Option<&Edits> {
        self.edits.as_ref()
    }

    /// The rule that took the request; `None`: it goes where it was dialled, or is none.
    pub(crate) fn rule(&self) -> Option<&Rule<Arc<Destination>>> {
        let Origin { service, port, rule } = self.origin.as_ref()?;
        let Place::Request(at) = (*rule)? else { return None };
        Some(&service.ports[*port].routes.rules[at])
    }

    /// Name of the rule that took the request or connection; `None`: it goes where it was dialled.
    pub(crate) fn route(&self) -> Option<&Arc<str>> {
        let Origin { service, port, rule } = self.origin.as_ref()?;
        let port = &service.ports[*port];
        match (*rule)? {
            Place::Request(at) => Some(&port.routes.rules[at].name),
            Place::Bytes(at) => port.bytes.rules().nth(at).map(|rule| &rule.name),
        }
    }

    /// The dialled Service, as long as it is the one of this snapshot.
    pub(super) fn is_of(&self, services: impl Fn(*const Service) -> bool) -> bool {
        self.origin.as_ref().is_some_and(|origin| services(Arc::as_ptr(&origin.service)))
    }

    /// Where copies on it are counted.
    pub(crate) fn mirrored(&self, find: impl FnOnce() -> Arc<MirrorCells>) -> &Arc<MirrorCells> {
        self.mirrored.get_or_init(find)
    }

    /// Where its requests are counted.
    pub(crate) fn cells(&self, mtls: bool, find: impl FnOnce() -> Arc<HttpCells>) -> &Arc<HttpCells> {
        self.cells[usize::from(mtls)].get_or_init(find)
    }
}
