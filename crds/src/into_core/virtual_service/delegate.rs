//! Delegation among VirtualServices: how it is written, and the rules that come of it.
//!
//! The delegating object gives away its own hosts' requests, and the delegate takes them by having no hosts and by being exported to
//! the other's namespace. So both sides agree where they are of two namespaces. Where the delegate's rules lead is subject to the rules
//! of the delegate's namespace.

use tulle_core::codes::Code;
use tulle_core::name::{Namespace, is_label, is_subdomain};
use tulle_core::route::delegate::{Broken, Composed, Delegate, compose};
use tulle_core::route::{Destination, Rule};

use super::VirtualService;
use crate::into_core::error::{At, SpecError};
use crate::into_core::value::nothing_else;
use crate::virtual_service as written;

/// The object that is named.
pub(super) fn delegate(written: &written::Delegate, home: &Namespace) -> Result<Delegate, SpecError> {
    nothing_else(&written.rest)?;
    let wrong = |text: &str, what| SpecError::new(Code::InvalidValue, format!("{text:?} is no name of {what}"));
    if !is_subdomain(&written.name) {
        return Err(wrong(&written.name, "an object")).at("name");
    }
    let namespace = match written.namespace.as_deref() {
        None => home.clone(),
        Some(name) if is_label(name) => name.into(),
        Some(name) => return Err(wrong(name, "a namespace")).at("namespace"),
    };
    Ok(Delegate { namespace, name: written.name.as_str().into() })
}

impl VirtualService {
    /// Its rules with those of its delegates, and of theirs, in place. `find` gives an object, if there is one that can be read.
    pub fn composed<'b>(&self, find: impl Fn(&Delegate) -> Option<&'b VirtualService>) -> Composed<'_, Destination> {
        let own = Delegate { namespace: self.rank.namespace.clone(), name: self.rank.name.as_str().into() };
        compose(own, &self.rules, |from, to| {
            let delegate = find(to).ok_or_else(|| Broken::Missing(to.clone()))?;
            if to.namespace != from.namespace && !delegate.export.reaches(&from.namespace) {
                return Err(Broken::NotExported(to.clone()));
            }
            if !delegate.hosts.is_empty() {
                return Err(Broken::HasHosts(to.clone()));
            }
            Ok(&*delegate.rules)
        })
    }

    /// The objects it delegates to itself.
    pub fn delegates(&self) -> impl Iterator<Item = &Delegate> {
        self.rules.iter().filter_map(Rule::delegate)
    }
}
