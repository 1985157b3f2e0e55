//! TrafficSplit.

use std::collections::BTreeSet;

use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_core::route::Rank;
use tulle_core::split::Weight;

use super::error::{At, SpecError, each};
use super::value::{nothing_else, weight};
use super::{Ctx, namespace_of, rank_of};
use crate::traffic_split::TrafficSplitSpec;

/// A TrafficSplit in the terms of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSplit {
    /// Precedence among splits of one service: the first in this order is in force.
    pub rank: Rank,
    /// The service whose traffic is split.
    pub apex: ServiceRef,
    /// Who receives it, in the order of the spec, zeros included; at least one weight is positive, no service is listed twice.
    pub backends: Vec<(ServiceRef, Weight)>,
}

/// Reads a TrafficSplit.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_traffic_split(split: &crate::TrafficSplit, ctx: &Ctx) -> Result<TrafficSplit, SpecError> {
    let namespace = namespace_of(split);
    let read = |spec: &TrafficSplitSpec| {
        nothing_else(&spec.rest)?;
        let apex = ctx.own_service(&spec.service, &namespace).at("service")?;
        let backends = each("backends", &spec.backends, |backend| {
            nothing_else(&backend.rest)?;
            let service = ctx.own_service(&backend.service, &namespace).at("service")?;
            Ok((service, weight(backend.weight).at("weight")?))
        })?;
        distinct(&backends)?;
        if backends.is_empty() {
            return Err(SpecError::new(Code::MissingField, "lists no backend").under("backends"));
        }
        if backends.iter().all(|(_, weight)| weight.0 == 0) {
            return Err(SpecError::new(Code::NothingToChoose, "all weights are 0").under("backends"));
        }
        Ok(TrafficSplit { rank: rank_of(split), apex, backends })
    };
    read(&split.spec).at("spec")
}

/// `web` and `web.shop.svc` are one service.
fn distinct(backends: &[(ServiceRef, Weight)]) -> Result<(), SpecError> {
    let mut seen = BTreeSet::new();
    match backends.iter().position(|(service, _)| !seen.insert(service)) {
        None => Ok(()),
        Some(index) => {
            let reason = format!("{} is listed twice", backends[index].0);
            Err(SpecError::new(Code::DuplicateEntry, reason).under("service").under(format_args!("backends[{index}]")))
        }
    }
}
