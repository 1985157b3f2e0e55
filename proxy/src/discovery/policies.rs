//! The policies of this workload. Until they have been read every call is refused: the first of them may be the one that refuses
//! it.

use std::collections::BTreeMap;

use tulle_core::authz::{Policy, PolicyName, PolicySet, Workload};
use tulle_core::name::Namespace;

use super::needs::Home;
use super::store::Store;

/// Name, in logs and metrics, of what refuses calls before the policies have been read.
const UNREAD: &str = "(policies not read yet)";

/// What holds before anything is known.
pub(crate) fn unknown(home: &Home) -> PolicySet {
    let name = PolicyName::new(home.namespace.clone(), UNREAD);
    let workload = Workload { namespace: home.namespace.clone(), labels: BTreeMap::new() };
    PolicySet::new([Policy::closed(name, 0, None)], &workload, &home.system_namespace)
}

/// Whether the policies of both namespaces and the labels that they select by are known.
pub(crate) fn known(store: &Store, home: &Home) -> bool {
    let read = |namespace: &Namespace| store.world(namespace).is_some_and(|world| world.policies.initialised());
    store.labels().is_some() && read(&home.namespace) && read(&home.system_namespace)
}

/// The policies that select this workload. One that cannot be read and never could closes what it selects: leaving it out could
/// open what its author closed.
pub(crate) fn build(store: &Store, home: &Home) -> PolicySet {
    let labels = store.labels().cloned().unwrap_or_default();
    let workload = Workload { namespace: home.namespace.clone(), labels };
    let mut namespaces = vec![&home.namespace];
    if home.system_namespace != home.namespace {
        namespaces.push(&home.system_namespace);
    }
    let worlds = namespaces.into_iter().filter_map(|namespace| store.world(namespace));
    let policies = worlds.flat_map(|world| world.policies.in_force()).map(|(_, policy)| Policy::clone(policy));
    PolicySet::new(policies, &workload, &home.system_namespace)
}
