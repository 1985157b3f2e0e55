//! The rules that an object stands for with its delegates, and what is said where one cannot be followed.

use std::collections::BTreeMap;
use std::fmt::Display;

use tulle_core::codes::Code;
use tulle_core::route::Destination;
use tulle_core::route::delegate::{Broken, Composed, DEPTH_MAX, Delegate};
use tulle_crds::into_core::{Ctx, VirtualService, parse_virtual_service};
use tulle_crds::status::{ConditionType, Finding, Reason};

use crate::world::World;

/// The rules of an object with those of its delegates in place.
pub(super) fn composed<'a>(of: &'a VirtualService, world: &World, ctx: &Ctx) -> Composed<'a, Destination> {
    let mut known: BTreeMap<Delegate, VirtualService> = BTreeMap::new();
    let mut wanted: Vec<Delegate> = of.delegates().cloned().collect();
    for _ in 0..DEPTH_MAX {
        for delegate in std::mem::take(&mut wanted) {
            let object = || world.tenant(&delegate.namespace)?.virtual_services.get(&*delegate.name);
            if !known.contains_key(&delegate)
                && let Some(read) = object().and_then(|object| parse_virtual_service(object, ctx).ok())
            {
                wanted.extend(read.delegates().cloned());
                known.insert(delegate, read);
            }
        }
    }
    // What the last of the chain delegates to is too deep and never asked for.
    of.composed(|to| known.get(to))
}

/// What is to be said of the first delegation that cannot be followed.
pub(super) fn broken(of: &VirtualService, composed: &Composed<'_, Destination>) -> Option<Finding> {
    let (rule, why) = composed.broken.first()?;
    let own = of.rules.iter().any(|mine| mine.name == *rule);
    let place: &dyn Display = match rule.rsplit_once(' ') {
        Some((_, place)) if own => &format!("spec.{place}.delegate"),
        _ => &format!("{rule} delegate"),
    };
    let (kind, reason, code, remedy) = match why {
        Broken::Missing(_) => (
            ConditionType::ResolvedRefs,
            Reason::DelegateNotFound,
            Code::ReferenceNotFound,
            "create it, correct it, or correct the name",
        ),
        Broken::NotExported(_) => (
            ConditionType::ResolvedRefs,
            Reason::RefNotPermitted,
            Code::ReferenceNotPermitted,
            "add this namespace to its exportTo",
        ),
        Broken::HasHosts(_) => (
            ConditionType::ResolvedRefs,
            Reason::RefNotPermitted,
            Code::ReferenceNotPermitted,
            "remove its hosts, or move the rules into an object without",
        ),
        Broken::Circle(_) | Broken::TooDeep(_) => {
            (ConditionType::Accepted, Reason::InvalidField, Code::InvalidValue, "remove one of the delegations")
        }
        Broken::TooMany => {
            (ConditionType::Accepted, Reason::InvalidField, Code::InvalidValue, "delegate less, or to fewer rules")
        }
    };
    Some(Finding::is_false(kind, reason, format!("{code}: {place}: {why}; {remedy}")))
}
