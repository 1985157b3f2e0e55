//! A way of requests through a data thread: the rule that took them, the backend the split chose, and where they are counted.
//!
//! Found once for each rule and backend of a snapshot. A request holds one reference of its own thread to it instead of copies of what
//! rule and Service say, so no count is shared between threads.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use tulle_core::name::ServiceRef;
use tulle_core::route::filter::Edits;
use tulle_core::route::{Branch, Rule};
use tulle_core::snapshot::{Backend, Destination, Port, Service};

use super::View;
use crate::metrics::cells::{HttpCells, MirrorCells};

/// Branch of a rule, or port, and backend, by address. The lane keeps both alive.
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

/// A rule and the branch of it that was drawn.
pub(crate) type Chosen<'a> = (&'a Rule<Arc<Destination>>, &'a Branch<Arc<Destination>>);

/// A port of a Service, and one of its rules unless none took the request.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    service: Arc<Service>,
    port: usize,
    rule: Option<usize>,
}

impl Origin {
    pub(super) fn new(service: &Arc<Service>, port: &Port, rule: Option<&Rule<Arc<Destination>>>) -> Self {
        let place = service.ports.iter().position(|other| std::ptr::eq(other, port));
        let place = place.expect("the port is one of the Service's");
        let at = |rule: &Rule<Arc<Destination>>| port.routes.rules.iter().position(|other| std::ptr::eq(other, rule));
        Self { service: Arc::clone(service), port: place, rule: rule.and_then(at) }
    }

    /// What identifies it while the Service lives.
    pub(super) fn key(port: &Port, chosen: Option<Chosen<'_>>) -> *const () {
        chosen.map_or_else(|| std::ptr::from_ref(port).cast(), |(_, branch)| std::ptr::from_ref(branch).cast())
    }
}

impl Lane {
    pub(super) fn new(service: ServiceRef, origin: Option<Origin>, view: Rc<View>, chosen: Option<Chosen<'_>>) -> Self {
        let edits = chosen.map(|(rule, branch)| branch.edits.clone().then(&rule.filters.edits));
        let edits = edits.filter(|edits| *edits != Edits::default());
        Self { service, origin, view, edits, cells: Default::default(), mirrored: OnceCell::new() }
    }

    /// What rule and branch change of every request.
    pub(crate) fn edits(&self) -> Option<&Edits> {
        self.edits.as_ref()
    }

    /// The rule that took the request; `None`: it goes where it was dialled.
    pub(crate) fn rule(&self) -> Option<&Rule<Arc<Destination>>> {
        let Origin { service, port, rule } = self.origin.as_ref()?;
        Some(&service.ports[*port].routes.rules[(*rule)?])
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
