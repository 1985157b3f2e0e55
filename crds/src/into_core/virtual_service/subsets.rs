//! Parts of services that destinations of the object may name.

use std::sync::Arc;

use tulle_core::codes::Code;
use tulle_core::name::{ServiceRef, is_label};
use tulle_core::route::{Subset, TrafficPolicy};

use super::condition::is_label_value;
use super::traffic_policy::{Given, traffic_policy};
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::nothing_else;
use crate::labels::UNPUBLISHED_LABEL;
use crate::virtual_service as written;

/// The subsets of one object.
#[derive(Default)]
pub(super) struct Subsets(Vec<Entry>);

struct Entry {
    /// `None`: a part of any service.
    of: Option<ServiceRef>,
    subset: Arc<Subset>,
    policy: TrafficPolicy,
}

/// Reads them; `host` says which service a name stands for, `policy` how calls are made where a subset does not say.
pub(super) fn subsets(
    list: &[written::Subset],
    policy: Given,
    host: impl Fn(&str) -> Result<ServiceRef, SpecError>,
) -> Result<Subsets, SpecError> {
    let read = each("subsets", list, |entry| {
        let of = entry.host.as_deref().map(&host).transpose().at("host")?;
        let policy = traffic_policy(entry.traffic_policy.as_ref())?.or(policy).policy();
        Ok(Entry { of, subset: Arc::new(subset(entry)?), policy })
    })?;
    for (index, entry) in read.iter().enumerate() {
        let name = &entry.subset.name;
        if read[..index].iter().any(|earlier| earlier.of == entry.of && earlier.subset.name == *name) {
            let reason = format!("{name:?} is defined twice");
            return Err(SpecError::new(Code::DuplicateEntry, reason).under(format_args!("subsets[{index}].name")));
        }
    }
    Ok(Subsets(read))
}

fn subset(written: &written::Subset) -> Result<Subset, SpecError> {
    nothing_else(&written.rest)?;
    if !is_label(&written.name) {
        let reason = format!("{:?} is not of lower-case letters, digits and '-', 1 to 63", written.name);
        return Err(SpecError::new(Code::InvalidValue, reason).under("name"));
    }
    for (key, value) in &written.labels {
        let wrong = if key == UNPUBLISHED_LABEL {
            SpecError::new(Code::InvalidValue, "changes pod by pod during a rollout and is not published")
                .remedy("give the pod template a label of its own, such as version")
        } else if !value.is_empty() && !is_label_value(value) {
            SpecError::new(Code::InvalidPattern, format!("{value:?} never fits: no label has such a value"))
        } else {
            continue;
        };
        return Err(wrong.under(format_args!("labels[{key}]")));
    }
    Ok(Subset { name: written.name.as_str().into(), labels: written.labels.clone() })
}

impl Subsets {
    /// The subset of a service that a destination names, and how calls to it are made. One defined for this service comes before one
    /// for any.
    pub(super) fn find(&self, service: &ServiceRef, name: &str) -> Result<(Arc<Subset>, TrafficPolicy), SpecError> {
        let of = |host: Option<&ServiceRef>| {
            self.0.iter().find(|entry| entry.of.as_ref() == host && &*entry.subset.name == name)
        };
        let found = of(Some(service)).or_else(|| of(None)).ok_or_else(|| self.unknown(service, name))?;
        Ok((Arc::clone(&found.subset), found.policy))
    }

    fn unknown(&self, service: &ServiceRef, name: &str) -> SpecError {
        let mut known: Vec<&str> = Vec::new();
        for Entry { of, subset, .. } in &self.0 {
            if of.as_ref().is_none_or(|of| of == service) && !known.contains(&&*subset.name) {
                known.push(&subset.name);
            }
        }
        let reason = match known.as_slice() {
            [] => format!("{name:?} is no subset of {service}: none is defined"),
            known => format!("{name:?} is no subset of {service}, which has {}", known.join(", ")),
        };
        SpecError::new(Code::SubsetNotFound, reason)
    }
}
