//! Destinations with their shares.

use tulle_core::codes::Code;
use tulle_core::route::{Branch, Destination};
use tulle_core::split::{Split, Weight};

use super::headers;
use super::scope::Scope;
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::{nothing_else, port, weight};
use crate::virtual_service as written;

/// The destinations of a rule for requests with their shares.
pub(super) fn branches(
    list: &[written::RouteDestination],
    scope: &Scope<'_>,
) -> Result<Split<Branch<Destination>>, SpecError> {
    split(list, |entry| {
        nothing_else(&entry.rest)?;
        let destination = destination(&entry.destination, scope).at("destination")?;
        Ok((Branch { destination, edits: headers::edits(entry.headers.as_ref())? }, entry.weight))
    })
}

/// The destinations of a rule for bytes with their shares.
pub(super) fn shares(
    list: &[written::WeightedDestination],
    scope: &Scope<'_>,
) -> Result<Split<Destination>, SpecError> {
    if list.is_empty() {
        return Err(SpecError::new(Code::MissingField, "lists no destination").under("route"));
    }
    split(list, |entry| {
        nothing_else(&entry.rest)?;
        Ok((destination(&entry.destination, scope).at("destination")?, entry.weight))
    })
}

/// As in Istio: alone, a destination receives everything; among others, no weight is weight 0.
fn split<W, T>(list: &[W], read: impl Fn(&W) -> Result<(T, Option<i64>), SpecError>) -> Result<Split<T>, SpecError> {
    let alone = list.len() == 1;
    let entries = each("route", list, |entry| {
        let (choice, written) = read(entry)?;
        let weight = written.map(weight).transpose().at("weight")?;
        Ok((choice, if alone { Weight(1) } else { weight.unwrap_or_default() }))
    })?;
    Split::new(entries)
        .ok_or_else(|| SpecError::new(Code::NothingToChoose, "all weights are 0 or absent").under("route"))
}

/// A service, and which of its ports and pods.
pub(super) fn destination(written: &written::Destination, scope: &Scope<'_>) -> Result<Destination, SpecError> {
    nothing_else(&written.rest)?;
    let service = scope.destination(&written.host).at("host")?;
    let port = written.port.as_ref().map(|selector| port(selector.number).at("port.number")).transpose()?;
    let subset = written.subset.as_deref().map(|name| scope.subset(&service, name).at("subset")).transpose()?;
    let (subset, policy) = subset.map_or((None, scope.policy()), |(subset, policy)| (Some(subset), policy));
    Ok(Destination { service, port, subset, policy })
}
