//! Conditions of user objects: what the operator says about a spec, in words that tools and people rely on.
//!
//! The form follows the Kubernetes API conventions ("Typical status properties"): each condition names the generation it speaks
//! of, reasons come from a closed list, and `lastTransitionTime` moves only when the status itself changes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message of a condition, in characters: one line in a terminal's `describe`.
pub const MESSAGE_CHARS_MAX: usize = 300;
/// The same where it tells of several rules, each with its place and remedy.
pub const RULES_CHARS_MAX: usize = 1500;

/// What a condition speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The spec is understood and in force (not held back by a conflict).
    Accepted,
    /// Some rules are in force and others cannot be read (Gateway API, `RouteConditionPartiallyInvalid`). Where that is not so there is
    /// no such condition.
    PartiallyInvalid,
    /// Everything the spec refers to exists.
    ResolvedRefs,
    /// Everything proxies need is published and readable by them. Says nothing of how many have applied it.
    Programmed,
    /// The summary: all three are true.
    Ready,
}

impl ConditionType {
    /// The word in `conditions[].type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionType::Accepted => "Accepted",
            ConditionType::PartiallyInvalid => "PartiallyInvalid",
            ConditionType::ResolvedRefs => "ResolvedRefs",
            ConditionType::Programmed => "Programmed",
            ConditionType::Ready => "Ready",
        }
    }
}

/// The closed list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Accepted, true.
    Accepted,
    /// Accepted, false: a value cannot be used.
    InvalidField,
    /// Accepted, false: a field of a later release.
    UnsupportedField,
    /// Accepted, false: an older object claims the same; the message names it.
    Conflicted,
    /// Accepted, false: the object may not say this from its namespace.
    NotPermitted,
    /// PartiallyInvalid, true: the message names the rules.
    UnsupportedValue,
    /// ResolvedRefs, true.
    ResolvedRefs,
    /// ResolvedRefs, false: no such Service.
    ServiceNotFound,
    /// ResolvedRefs, false: the Service is an alias, without an address and endpoints.
    ExternalName,
    /// ResolvedRefs, false: no VirtualService of this name to delegate to.
    DelegateNotFound,
    /// ResolvedRefs, false: the Service has no such port.
    PortNotFound,
    /// ResolvedRefs, false: the object defines no such subset.
    SubsetNotFound,
    /// ResolvedRefs, false: a backend with weight has no ready endpoint, and the others hold its share; or a subset that is sent to has none.
    BackendUnavailable,
    /// ResolvedRefs, false: the reference reaches into another namespace without that namespace's grant.
    RefNotPermitted,
    /// ResolvedRefs, false: the namespace has no proxies that could follow this object.
    NamespaceNotMeshed,
    /// Programmed, true.
    Programmed,
    /// Programmed, true: nothing is selected, so nothing had to be published.
    Unused,
    /// Programmed, unknown: being published.
    Propagating,
    /// Programmed, unknown: the operator has not read this generation yet.
    OperatorBehind,
    /// Programmed, false: held back because Accepted is false.
    NotAccepted,
    /// Ready, true.
    Ready,
}

impl Reason {
    /// The word in `conditions[].reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Accepted => "Accepted",
            Reason::InvalidField => "InvalidField",
            Reason::UnsupportedField => "UnsupportedField",
            Reason::Conflicted => "Conflicted",
            Reason::NotPermitted => "NotPermitted",
            Reason::UnsupportedValue => "UnsupportedValue",
            Reason::ResolvedRefs => "ResolvedRefs",
            Reason::ServiceNotFound => "ServiceNotFound",
            Reason::ExternalName => "ExternalName",
            Reason::DelegateNotFound => "DelegateNotFound",
            Reason::PortNotFound => "PortNotFound",
            Reason::SubsetNotFound => "SubsetNotFound",
            Reason::BackendUnavailable => "BackendUnavailable",
            Reason::RefNotPermitted => "RefNotPermitted",
            Reason::NamespaceNotMeshed => "NamespaceNotMeshed",
            Reason::Programmed => "Programmed",
            Reason::Unused => "Unused",
            Reason::Propagating => "Propagating",
            Reason::OperatorBehind => "OperatorBehind",
            Reason::NotAccepted => "NotAccepted",
            Reason::Ready => "Ready",
        }
    }
}

/// The three values a condition can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so, and somebody must act.
    False,
    /// Not known yet.
    Unknown,
}

impl Truth {
    /// The word in `conditions[].status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Truth::True => "True",
            Truth::False => "False",
            Truth::Unknown => "Unknown",
        }
    }
}

/// One finding about a spec, before it has a time and a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it speaks of.
    pub kind: ConditionType,
    /// Whether it is so.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// For people: code, field path, reason and remedy.
    pub message: String,
}

impl Finding {
    /// A finding of any value; the message is cut to [`MESSAGE_CHARS_MAX`], or [`RULES_CHARS_MAX`].
    pub fn new(kind: ConditionType, truth: Truth, reason: Reason, message: impl Into<String>) -> Finding {
        let mut message = message.into();
        let max = if kind == ConditionType::PartiallyInvalid { RULES_CHARS_MAX } else { MESSAGE_CHARS_MAX };
        if let Some((end, _)) = message.char_indices().nth(max) {
            message.truncate(end);
        }
        Finding { kind, truth, reason, message }
    }

    /// It is so.
    pub fn is_true(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Finding {
        Finding::new(kind, Truth::True, reason, message)
    }

    /// It is not so.
    pub fn is_false(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Finding {
        Finding::new(kind, Truth::False, reason, message)
    }

    /// It is not known.
    pub fn is_unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Finding {
        Finding::new(kind, Truth::Unknown, reason, message)
    }

    /// What it means for Ready. That rules are invalid is the one bad thing that is true.
    fn for_ready(&self) -> Truth {
        match (self.kind, self.truth) {
            (ConditionType::PartiallyInvalid, Truth::True) => Truth::False,
            (_, truth) => truth,
        }
    }

    fn condition(&self, previous: &[Condition], generation: i64, now: Timestamp) -> Condition {
        let (type_, status) = (self.kind.as_str(), self.truth.as_str());
        let since = previous
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == status)
            .map_or(Time(now), |condition| condition.last_transition_time.clone());
        Condition {
            type_: type_.to_string(),
            status: status.to_string(),
            reason: self.reason.as_str().to_string(),
            message: self.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: since,
        }
    }
}

/// The conditions to write: the findings in the order of [`ConditionType`], and Ready as their summary.
///
/// `previous` is what the object carries now; where nothing but `now` differs, the result equals `previous`, so the caller
/// compares and writes on change of meaning only.
pub fn conditions(previous: &[Condition], findings: &[Finding], generation: i64, now: Timestamp) -> Vec<Condition> {
    let mut findings: Vec<&Finding> = findings.iter().filter(|finding| finding.kind != ConditionType::Ready).collect();
    findings.sort_by_key(|finding| finding.kind);
    let ready = ready(&findings);
    findings.into_iter().chain([&ready]).map(|finding| finding.condition(previous, generation, now)).collect()
}

/// Ready speaks with the words of the first finding that is bad, else unknown: one place to look.
fn ready(findings: &[&Finding]) -> Finding {
    let first = |truth| findings.iter().find(|finding| finding.for_ready() == truth);
    match first(Truth::False).or_else(|| first(Truth::Unknown)) {
        Some(cause) => Finding { kind: ConditionType::Ready, truth: cause.for_ready(), ..(*cause).clone() },
        None => Finding::is_true(ConditionType::Ready, Reason::Ready, "in force"),
    }
}

#[cfg(test)]
mod tests;
