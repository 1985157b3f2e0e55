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
    pub(super) fn note(&mut self, of: &Ref, object: Option<&Arc<VirtualService>>) {
        self.0.retain(|_, referring| {
            referring.remove(of);
            !referring.is_empty()
        });
        // Destinations are of the object's own namespace or of those of its hosts.
        for host in object.iter().flat_map(|object| &object.spec.hosts) {
            if let Some(namespace) = namespace_of(host).filter(|namespace| **namespace != *of.namespace) {
                self.0.entry(namespace.into()).or_default().insert(of.clone());
            }
        }
    }

    /// What has to be decided anew because something of a namespace changed.
    pub(super) fn dirty(&self, namespace: &Name, dirty: &mut BTreeSet<Key>) {
        dirty.extend(self.0.get(namespace).into_iter().flatten().cloned().map(Key::VirtualService));
    }
}

/// The namespace that a host names, as far as it is written; whether it is a host at all is for the parser to say.
fn namespace_of(host: &str) -> Option<String> {
    host.split('.').nth(1).filter(|namespace| !namespace.is_empty()).map(str::to_ascii_lowercase)
}
