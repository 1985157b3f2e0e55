//! Who asks, and whether a rule is meant for them. All requests of one proxy have the same caller, so this is settled when its table is
//! built, and no request pays for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::Namespace;

/// From where a table is looked at: the workload whose proxy asks, and the port it dialled.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Namespace of the workload.
    pub namespace: &'a Namespace,
    /// Labels of its pod.
    pub labels: &'a BTreeMap<String, String>,
    /// The port that was dialled.
    pub port: u16,
}

impl Caller<'_> {
    /// Whether a condition on the dialled port and the workload holds, as far as either is asked for.
    pub(super) fn is_meant(&self, port: Option<u16>, source: Option<&SourceMatch>) -> bool {
        port.is_none_or(|wanted| wanted == self.port) && source.is_none_or(|source| source.fits(self))
    }
}

/// A condition on the workload that calls; every part given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMatch {
    /// Its namespace.
    pub namespace: Option<Namespace>,
    /// Labels its pod has, others may be there as well.
    pub labels: BTreeMap<String, String>,
}

impl SourceMatch {
    /// Whether the caller is meant.
    #[must_use]
    pub fn fits(&self, caller: &Caller<'_>) -> bool {
        self.namespace.as_ref().is_none_or(|wanted| wanted == caller.namespace)
            && self.labels.iter().all(|(key, wanted)| caller.labels.get(key) == Some(wanted))
    }
}

/// Whose proxies follow an object (Istio: `exportTo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Export {
    /// Everybody's.
    #[default]
    Everywhere,
    /// Those of these namespaces.
    To(BTreeSet<Namespace>),
}

impl Export {
    /// Whether proxies of a namespace follow the object.
    #[must_use]
    pub fn reaches(&self, namespace: &Namespace) -> bool {
        match self {
            Export::Everywhere => true,
            Export::To(namespaces) => namespaces.contains(namespace),
        }
    }
}
