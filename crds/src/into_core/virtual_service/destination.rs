//! Destinations with their shares.

use tulle_core::codes::Code;
use tulle_core::route::{Branch, Destination};
use tulle_core::split::{Split, Weight};

use super::headers;
use super::scope::Scope;
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::{nothing_else, port, weight};
use crate::virtual_service as written;

/// The destinations of a rule with their shares.
pub(super) fn branches(
    list: &[written::RouteDestination],
    scope: &Scope<'_>,
) -> Result<Split<Branch<Destination>>, SpecError> {
    let alone = list.len() == 1;
    let entries = each("route", list, |entry| {
        nothing_else(&entry.rest)?;
        let weight = entry.weight.map(weight).transpose().at("weight")?;
        let destination = destination(&entry.destination, scope).at("destination")?;
        let edits = headers::edits(entry.headers.as_ref())?;
        // As in Istio: alone, a destination receives everything; among others, no weight is weight 0.
        Ok((Branch { destination, edits }, if alone { Weight(1) } else { weight.unwrap_or_default() }))
    })?;
    Split::new(entries)
        .ok_or_else(|| SpecError::new(Code::NothingToChoose, "all weights are 0 or absent").under("route"))
}

/// A service, and which of its ports.
pub(super) fn destination(written: &written::Destination, scope: &Scope<'_>) -> Result<Destination, SpecError> {
    nothing_else(&written.rest)?;
    let service = scope.destination(&written.host).at("host")?;
    let port = written.port.as_ref().map(|selector| port(selector.number).at("port.number")).transpose()?;
    Ok(Destination { service, port })
}
