//! Which watches are needed, as data: a scope each with the names it must cover, and the selector that says so to the API server.
//!
//! Each watch costs the API server memory and time, so there is one a namespace and kind with a set-based selector, not one an
//! object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tulle_core::name::Namespace;
use tulle_core::sidecar::TRUST_BUNDLE_CONFIG_MAP;
use tulle_crds::labels::{POD_IP_LABEL, POD_IP_V6_LABEL, SERVICE_LABEL};

use super::object::{Kind, Scope};

/// The label by which EndpointSlices name their Service (`discovery.k8s.io/v1`).
pub(crate) const SLICE_SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// More names than this in one namespace are watched as the whole namespace: a selector travels in the request line, and at
/// 63 bytes a name this keeps it under 8 KiB, which every load balancer in front of an API server lets pass.
const MAX_NAMES: usize = 120;

/// Every watch that is needed.
pub(crate) type Plan = BTreeMap<Scope, Selection>;

/// Which objects of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Every object.
    All,
    /// Objects by Service name or, for pods, by address label.
    Names(BTreeSet<Arc<str>>),
}

impl Selection {
    /// Whether an object under this name would be selected.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Selection::All => true,
            Selection::Names(names) => names.contains(name),
        }
    }

    /// Whether everything that `other` selects is selected.
    pub(crate) fn covers(&self, other: &Selection) -> bool {
        match (self, other) {
            (Selection::All, _) => true,
            (Selection::Names(_), Selection::All) => false,
            (Selection::Names(mine), Selection::Names(theirs)) => mine.is_superset(theirs),
        }
    }

    fn bounded(self) -> Self {
        match self {
            Selection::Names(names) if names.len() > MAX_NAMES => Selection::All,
            selection => selection,
        }
    }
}

/// Adds to a plan.
pub(crate) trait PlanExt {
    /// The whole scope is needed.
    fn whole(&mut self, namespace: &Namespace, kind: Kind);
    /// One name of the scope is needed.
    fn name(&mut self, namespace: &Namespace, kind: Kind, name: &Arc<str>);
    /// The plan with each selection kept to what one selector may hold.
    fn bounded(self) -> Self;
}

impl PlanExt for Plan {
    fn whole(&mut self, namespace: &Namespace, kind: Kind) {
        self.insert(Scope::new(namespace, kind), Selection::All);
    }

    fn name(&mut self, namespace: &Namespace, kind: Kind, name: &Arc<str>) {
        let names = self.entry(Scope::new(namespace, kind)).or_insert_with(|| Selection::Names(BTreeSet::new()));
        if let Selection::Names(names) = names {
            names.insert(Arc::clone(name));
        }
    }

    fn bounded(self) -> Self {
        self.into_iter().map(|(scope, selection)| (scope, selection.bounded())).collect()
    }
}

/// The label selector of a watch, if it has one.
pub(crate) fn label_selector(kind: Kind, selection: &Selection) -> Option<String> {
    let Selection::Names(names) = selection else { return None };
    let label = match kind {
        Kind::MeshService => SERVICE_LABEL,
        Kind::EndpointSlice => SLICE_SERVICE_LABEL,
        Kind::MeshEndpoint => POD_IP_LABEL,
        Kind::MeshEndpointV6 => POD_IP_V6_LABEL,
        Kind::TrustBundle | Kind::MeshPolicy | Kind::VirtualService | Kind::TrafficSplit => return None,
    };
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    Some(format!("{label} in ({})", names.join(",")))
}

/// The field selector of a watch, if it has one. RBAC by `resourceNames` admits a watch only with this selector.
pub(crate) fn field_selector(kind: Kind) -> Option<String> {
    (kind == Kind::TrustBundle).then(|| format!("metadata.name={TRUST_BUNDLE_CONFIG_MAP}"))
}

#[cfg(test)]
mod tests;
