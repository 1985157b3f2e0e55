//! A mistake in a spec: one sentence at admission, in status and in the log.

use std::fmt;

use tulle_core::codes::Code;

use crate::status::{ConditionType, Finding, Reason};

/// Where a spec is wrong, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// Catalogue code.
    pub code: Code,
    /// The field, e.g. `spec.http[1].route[0].weight`.
    pub path: String,
    /// Why it cannot be used, as the rest of a sentence.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.code, self.path, self.reason, self.remedy)
    }
}

impl std::error::Error for SpecError {}

impl SpecError {
    /// A mistake at the place that is being read, with the remedy of its code.
    pub(super) fn new(code: Code, reason: impl Into<String>) -> SpecError {
        SpecError { code, path: String::new(), reason: reason.into(), remedy: code.remedy().to_string() }
    }

    /// The same with a remedy of its own.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> SpecError {
        self.remedy = remedy.into();
        self
    }

    /// The same, seen from one level up.
    pub(super) fn under(mut self, field: impl fmt::Display) -> SpecError {
        self.path = match self.path.as_str() {
            "" => field.to_string(),
            path => format!("{field}.{path}"),
        };
        self
    }

    /// The condition that tells it: what concerns the object itself is Accepted, what it refers to is ResolvedRefs.
    pub fn finding(&self) -> Finding {
        let (kind, reason) = match self.code {
            Code::UnsupportedField => (ConditionType::Accepted, Reason::UnsupportedField),
            Code::ReferenceNotPermitted => (ConditionType::ResolvedRefs, Reason::RefNotPermitted),
            Code::ReferenceNotFound => (ConditionType::ResolvedRefs, Reason::ServiceNotFound),
            Code::PortNotFound => (ConditionType::ResolvedRefs, Reason::PortNotFound),
            Code::SubsetNotFound => (ConditionType::ResolvedRefs, Reason::SubsetNotFound),
            Code::Conflicting => (ConditionType::Accepted, Reason::Conflicted),
            _ => (ConditionType::Accepted, Reason::InvalidField),
        };
        Finding::is_false(kind, reason, self.to_string())
    }
}

/// Names the field a result comes from.
pub(super) trait At<T> {
    /// The same result, an error seen from one level up.
    fn at(self, field: impl fmt::Display) -> Result<T, SpecError>;
}

impl<T> At<T> for Result<T, SpecError> {
    fn at(self, field: impl fmt::Display) -> Result<T, SpecError> {
        self.map_err(|error| error.under(field))
    }
}

/// Reads every item of a list, naming the one that is wrong.
pub(super) fn each<T, U>(
    field: &str,
    items: &[T],
    read: impl Fn(&T) -> Result<U, SpecError>,
) -> Result<Vec<U>, SpecError> {
    items.iter().enumerate().map(|(index, item)| read(item).at(format_args!("{field}[{index}]"))).collect()
}
