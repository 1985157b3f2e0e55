//! Who may call: the policies of one workload, and their verdict on a call.
//!
//! Order (as in Istio's AuthorizationPolicy): a DENY rule that fits refuses; else, where any ALLOW policy selects the workload, one
//! of its rules must fit; else the call is allowed. Doubt never opens a door: what an ALLOW rule cannot see (no identity, no
//! HTTP) does not fit it, what a DENY rule cannot see does not save the caller.

mod policy;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use policy::{Action, Authorization, Mtls, Operation, Policy, PolicyName, Rule};
pub use source::{Pattern, Source};

use crate::codes::Code;
use crate::identity::SpiffeId;
use crate::name::Namespace;
use policy::Scope;

/// Whether callers must come with mutual TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MtlsMode {
    /// Only mutual TLS.
    Strict,
    /// Mutual TLS or plaintext.
    Permissive,
    /// The proxy does not offer TLS.
    Disable,
}

impl MtlsMode {
    /// The word users write.
    pub fn as_str(self) -> &'static str {
        match self {
            MtlsMode::Strict => "STRICT",
            MtlsMode::Permissive => "PERMISSIVE",
            MtlsMode::Disable => "DISABLE",
        }
    }
}

impl fmt::Display for MtlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MtlsMode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<MtlsMode, UnknownMode> {
        match word {
            "STRICT" => Ok(MtlsMode::Strict),
            "PERMISSIVE" => Ok(MtlsMode::Permissive),
            "DISABLE" => Ok(MtlsMode::Disable),
            _ => Err(UnknownMode(word.to_string())),
        }
    }
}

/// A word that is no [`MtlsMode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not STRICT, PERMISSIVE or DISABLE")]
pub struct UnknownMode(pub String);

/// The workload whose policies are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Namespace,
    /// Labels of its pod.
    pub labels: BTreeMap<String, String>,
}

/// A call that reached the workload.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The caller, where mutual TLS proved one.
    pub peer: Option<&'a SpiffeId>,
    /// Port of the workload.
    pub port: u16,
    /// The request, where the call is HTTP.
    pub http: Option<HttpCall<'a>>,
}

/// The parts of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path without query, in [normal form](crate::path::normalize).
    pub path: &'a str,
}

/// Proof that policy was asked and agreed. Only [`PolicySet::authorize`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    _proof: (),
}

/// A refusal and what decided it. Policy and rule are for the workload's own log, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial<'a> {
    /// [`Code::DeniedByPolicy`], [`Code::NoRuleAllows`], [`Code::PolicyUnreadable`] or [`Code::PlaintextRefused`].
    pub code: Code,
    /// The policy, where one alone decided.
    pub policy: Option<&'a PolicyName>,
    /// Position of the rule in that policy.
    pub rule: Option<usize>,
}

/// The answer to a call.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'a> {
    /// It may go on.
    Permit(Permit),
    /// It ends here.
    Denied(Denial<'a>),
}

/// The policies that select one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicySet {
    /// Most specific first, then oldest, then by name: the first that speaks decides.
    policies: Vec<(Scope, Policy)>,
    /// Asked with every request, so known in advance.
    judges_paths: bool,
}

impl PolicySet {
    /// Keeps the policies that select the workload. Those in `system_namespace` select pods of the whole mesh.
    pub fn new(
        policies: impl IntoIterator<Item = Policy>,
        workload: &Workload,
        system_namespace: &Namespace,
    ) -> PolicySet {
        let mut policies: Vec<_> = policies
            .into_iter()
            .filter_map(|policy| Some((policy.scope(workload, system_namespace)?, policy)))
            .collect();
        policies.sort_by(|(a_scope, a), (b_scope, b)| {
            b_scope.cmp(a_scope).then(a.created.cmp(&b.created)).then_with(|| a.name.cmp(&b.name))
        });
        let judges_paths = policies.iter().any(|(_, policy)| policy.judges_paths());
        PolicySet { policies, judges_paths }
    }

    /// Names of the policies, the most specific first.
    pub fn names(&self) -> impl Iterator<Item = &PolicyName> {
        self.policies.iter().map(|(_, policy)| &policy.name)
    }

    /// Whether any rule looks at paths: then a request is brought into normal form before it is judged, and forwarded so.
    pub fn judges_paths(&self) -> bool {
        self.judges_paths
    }

    /// The mode on a port: what the most specific policy says (port, then workload, then namespace, then mesh; the oldest wins a
    /// tie), or `default` where none does.
    pub fn mtls_mode(&self, port: u16, default: MtlsMode) -> MtlsMode {
        self.deciding_mode(port).map_or(default, |(_, mode)| mode)
    }

    /// Whether a caller without mutual TLS may go on to [`authorize`](Self::authorize).
    ///
    /// # Errors
    /// The mode is STRICT; the policy that says so is named, unless it is the default of the mesh.
    pub fn admit_plaintext(&self, port: u16, default: MtlsMode) -> Result<(), Denial<'_>> {
        let (policy, mode) = match self.deciding_mode(port) {
            Some((policy, mode)) => (Some(policy), mode),
            None => (None, default),
        };
        match mode {
            MtlsMode::Strict => Err(Denial { code: Code::PlaintextRefused, policy, rule: None }),
            MtlsMode::Permissive | MtlsMode::Disable => Ok(()),
        }
    }

    fn deciding_mode(&self, port: u16) -> Option<(&PolicyName, MtlsMode)> {
        let sections = || self.policies.iter().filter_map(|(_, policy)| Some((&policy.name, policy.mtls.as_ref()?)));
        let of_port = sections().find_map(|(name, mtls)| Some((name, *mtls.ports.get(&port)?)));
        of_port.or_else(|| sections().find_map(|(name, mtls)| Some((name, mtls.mode?))))
    }

    /// Decides a call. On HTTP each request is a call; on TCP the connection is.
    pub fn authorize(&self, call: &Call<'_>) -> Verdict<'_> {
        if let Some(policy) = self.policies.iter().map(|(_, policy)| policy).find(|policy| policy.unreadable) {
            return Verdict::Denied(Denial { code: Code::PolicyUnreadable, policy: Some(&policy.name), rule: None });
        }
        if let Some((policy, rule)) = self.fitting(Action::Deny, call).next() {
            return Verdict::Denied(Denial { code: Code::DeniedByPolicy, policy: Some(policy), rule: Some(rule) });
        }
        let mut allowing = self.with_action(Action::Allow).peekable();
        if allowing.peek().is_none() || self.fitting(Action::Allow, call).next().is_some() {
            return Verdict::Permit(Permit { _proof: () });
        }
        let only = allowing.next().filter(|_| allowing.next().is_none());
        Verdict::Denied(Denial { code: Code::NoRuleAllows, policy: only.map(|(policy, _)| policy), rule: None })
    }

    /// The AUDIT policies whose rules fit, with the position of the first rule that does: to be counted and logged.
    pub fn audited<'a>(&'a self, call: &'a Call<'_>) -> impl Iterator<Item = (&'a PolicyName, usize)> {
        self.fitting(Action::Audit, call)
    }

    fn with_action(&self, action: Action) -> impl Iterator<Item = (&PolicyName, &[Rule])> {
        self.policies.iter().filter_map(move |(_, policy)| {
            let section = policy.authorization.as_ref().filter(|section| section.action == action)?;
            Some((&policy.name, section.rules.as_slice()))
        })
    }

    fn fitting<'a>(&'a self, action: Action, call: &Call<'_>) -> impl Iterator<Item = (&'a PolicyName, usize)> {
        self.with_action(action)
            .filter_map(move |(name, rules)| Some((name, rules.iter().position(|rule| rule.fits(call, action))?)))
    }
}

#[cfg(test)]
mod tests;
