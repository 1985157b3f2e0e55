//! One policy: what it selects, and when one of its rules fits a call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Call, MtlsMode, Pattern, Source, Workload};
use crate::name::Namespace;
use crate::path;

/// Name of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

impl PolicyName {
    /// A name from parts that are valid already.
    pub fn new(namespace: impl Into<Namespace>, name: impl Into<Arc<str>>) -> PolicyName {
        PolicyName { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A MeshPolicy in the terms of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Creation, Unix seconds: the oldest wins a tie.
    pub created: i64,
    /// Labels a pod must carry; `None` where the policy has no selector.
    pub selector: Option<BTreeMap<String, String>>,
    /// Acceptance of plaintext.
    pub mtls: Option<Mtls>,
    /// Who may call.
    pub authorization: Option<Authorization>,
    /// The spec could not be read: every call to the selected workloads is refused.
    pub unreadable: bool,
}

impl Policy {
    /// Stands for a policy whose spec cannot be read and of which no good version is known: it closes what it selects, since
    /// leaving it out could open what its author closed.
    pub fn closed(name: PolicyName, created: i64, selector: Option<BTreeMap<String, String>>) -> Policy {
        Policy { name, created, selector, mtls: None, authorization: None, unreadable: true }
    }

    /// Whether a rule of it looks at paths.
    pub(super) fn judges_paths(&self) -> bool {
        let rules = self.authorization.iter().flat_map(|section| &section.rules);
        rules.flat_map(|rule| &rule.to).any(|to| !to.paths.is_empty() || !to.not_paths.is_empty())
    }

    /// How closely the policy selects the workload; `None` where it does not.
    pub(super) fn scope(&self, workload: &Workload, system_namespace: &Namespace) -> Option<Scope> {
        let mesh = self.name.namespace == *system_namespace;
        if !mesh && self.name.namespace != workload.namespace {
            return None;
        }
        let selected = |labels: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| workload.labels.get(key) == Some(value))
        };
        match &self.selector {
            None if mesh => Some(Scope::Mesh),
            None => Some(Scope::Namespace),
            Some(labels) if !selected(labels) => None,
            Some(_) if mesh && self.name.namespace != workload.namespace => Some(Scope::MeshSelected),
            Some(_) => Some(Scope::Workload),
        }
    }
}

/// How closely a policy selects a workload, the widest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Every pod of the mesh.
    Mesh,
    /// Pods of the whole mesh by label, from the system namespace.
    MeshSelected,
    /// Every pod of the namespace.
    Namespace,
    /// Pods of the namespace by label.
    Workload,
}

/// Acceptance of plaintext.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mtls {
    /// On ports that are not named; `None`: as the next wider policy says.
    pub mode: Option<MtlsMode>,
    /// On single ports of the workload.
    pub ports: BTreeMap<u16, MtlsMode>,
}

/// What a policy does with a call that one of its rules fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Allows it, if nothing denies it.
    Allow,
    /// Refuses it.
    Deny,
    /// Reports it, decides nothing.
    Audit,
}

/// Who may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorization {
    /// What happens where a rule fits.
    pub action: Action,
    /// None: never fits.
    pub rules: Vec<Rule>,
}

/// Callers and operations; fits when one of each fits. An empty list fits everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Callers.
    pub from: Vec<Source>,
    /// Operations.
    pub to: Vec<Operation>,
}

impl Rule {
    pub(super) fn fits(&self, call: &Call<'_>, action: Action) -> bool {
        let from = self.from.is_empty() || self.from.iter().any(|source| source.fits(call.peer, action));
        from && (self.to.is_empty() || self.to.iter().any(|operation| operation.fits(call, action)))
    }
}

/// Conditions on a request, all of which must hold; an empty list holds always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Methods.
    pub methods: Vec<Pattern>,
    /// Methods that do not fit.
    pub not_methods: Vec<Pattern>,
    /// Paths in normal form.
    pub paths: Vec<Pattern>,
    /// Paths that do not fit.
    pub not_paths: Vec<Pattern>,
    /// Ports of the workload.
    pub ports: Vec<u16>,
    /// Ports that do not fit.
    pub not_ports: Vec<u16>,
}

impl Operation {
    fn fits(&self, call: &Call<'_>, action: Action) -> bool {
        let port = (self.ports.is_empty() || self.ports.contains(&call.port)) && !self.not_ports.contains(&call.port);
        port && self.http_fits(call, action)
    }

    /// Whether the HTTP conditions hold. On raw TCP they cannot be seen: an ALLOW rule then never fits, any other ignores them
    /// (as Istio: "HTTP-only fields on TCP").
    fn http_fits(&self, call: &Call<'_>, action: Action) -> bool {
        let asks = [&self.methods, &self.not_methods, &self.paths, &self.not_paths].iter().any(|list| !list.is_empty());
        if !asks {
            return true;
        }
        let Some(http) = call.http else { return action != Action::Allow };
        let method = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(http.method));
        let methods = (self.methods.is_empty() || method(&self.methods)) && !method(&self.not_methods);
        methods && self.path_fits(http.path, action)
    }

    /// The application may read `%3B` as `;`. So a path has a second, decoded reading: an ALLOW rule must fit in both, any other
    /// rule fits in either.
    fn path_fits(&self, normal: &str, action: Action) -> bool {
        if self.paths.is_empty() && self.not_paths.is_empty() {
            return true;
        }
        let fits = |path: &str| {
            let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(path));
            (self.paths.is_empty() || any(&self.paths)) && !any(&self.not_paths)
        };
        match (path::decoded(normal), action) {
            (None, _) => fits(normal),
            (Some(decoded), Action::Allow) => fits(normal) && fits(&decoded),
            (Some(decoded), Action::Deny | Action::Audit) => fits(normal) || fits(&decoded),
        }
    }
}
