//! Which VirtualServices speak of other namespaces than their own, so that a change there finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tulle_crds::VirtualService;

use super::{Key, Name, Ref};

/// Objects by the namespaces that they refer to.
#[derive(Debug, Default)]
pub(super) struct Abroad(BTreeMap<Name, BTreeSet<Ref>>);

impl Abroad {
    /// Takes what an object refers to now; `None`: it is gone.
    pub(super) fn note(&mut self, of: &Ref, namespaces: impl Iterator<Item = String>) {
        self.0.retain(|_, referring| {
            referring.remove(of);
            !referring.is_empty()
        });
        for namespace in namespaces.filter(|namespace| **namespace != *of.namespace) {
            self.0.entry(namespace.into()).or_default().insert(of.clone());
        }
    }

    /// The namespaces from which one is referred to.
    pub(super) fn referring(&self, namespace: &str) -> impl Iterator<Item = &Name> {
        self.objects(namespace).map(|of| &of.namespace)
    }

    /// The objects that refer to a namespace.
    pub(super) fn objects(&self, namespace: &str) -> impl Iterator<Item = &Ref> {
        self.0.get(namespace).into_iter().flatten()
    }

    /// What has to be decided anew because something of a namespace changed.
    pub(super) fn dirty(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        dirty.extend(self.objects(namespace).cloned().map(Key::VirtualService));
    }
}

/// Namespaces of Services. Destinations are of the object's own namespace or of those of its hosts.
pub(super) fn hosts(object: Option<&Arc<VirtualService>>) -> impl Iterator<Item = String> {
    object.into_iter().flat_map(|object| &object.spec.hosts).filter_map(|host| namespace_of(host))
}

/// Namespaces of objects that it delegates to.
pub(super) fn delegates(object: Option<&Arc<VirtualService>>) -> impl Iterator<Item = String> {
    let rules = object.into_iter().flat_map(|object| &object.spec.http);
    rules.filter_map(|rule| rule.delegate.as_ref()?.namespace.clone())
}

/// The namespace that a host names, as far as it is written; whether it is a host at all is for the parser to say.
fn namespace_of(host: &str) -> Option<String> {
    host.split('.').nth(1).filter(|namespace| !namespace.is_empty()).map(str::to_ascii_lowercase)
}
