//! TrafficSplit.

use std::collections::BTreeSet;

use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_core::route::{FullRegex, HeaderMatch, Match, Rank, StringMatch};
use tulle_core::split::Weight;

use super::error::{At, SpecError, each};
use super::value::{header_name, nothing_else, weight};
use super::{Ctx, namespace_of, rank_of};
use crate::traffic_split::{SplitMatch, TrafficSplitSpec};

/// A TrafficSplit in the terms of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct TrafficSplit {
    /// Precedence among splits of one service: the first in this order is in force.
    pub rank: Rank,
    /// The service whose traffic is split.
    pub apex: ServiceRef,
    /// Who receives it, in the order of the spec, zeros included; at least one weight is positive, no service is listed twice.
    pub backends: Vec<(ServiceRef, Weight)>,
    /// Which requests it is for, any of which is enough. Empty: everything.
    pub matches: Vec<Match>,
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
        let matches = each("matches", &spec.matches, conditions)?.concat();
        Ok(TrafficSplit { rank: rank_of(split), apex, backends, matches })
    };
    read(&split.spec).at("spec")
}

/// One condition as written is one for each of its methods.
fn conditions(written: &SplitMatch) -> Result<Vec<Match>, SpecError> {
    nothing_else(&written.rest)?;
    if written.path_regex.is_none() && written.methods.is_empty() && written.headers.is_empty() {
        return Err(SpecError::new(Code::MissingField, "has none of pathRegex, methods and headers")
            .remedy("give at least one, or remove the condition"));
    }
    let uri = written.path_regex.as_deref().map(path_start).transpose().at("pathRegex")?;
    let headers = written.headers.iter().map(|(name, value)| {
        let place = format!("headers[{name}]");
        header_name(name).at(&place)?;
        let value = pattern(value).at(&place)?;
        Ok((name.as_str().into(), HeaderMatch::Value(StringMatch::Regex(value))))
    });
    let rest = Match { uri, headers: headers.collect::<Result<_, SpecError>>()?, ..Match::default() };
    if written.methods.is_empty() || written.methods.iter().any(|method| method == "*") {
        return Ok(vec![rest]);
    }
    let with = |method: &String| Match { method: Some(StringMatch::Exact(method.as_str().into())), ..rest.clone() };
    Ok(written.methods.iter().map(with).collect())
}

/// SMI's `pathRegex` fits the start of a path.
fn path_start(written: &str) -> Result<StringMatch, SpecError> {
    // Alone first, so that a mistake is told of what was written.
    pattern(written)?;
    Ok(StringMatch::Regex(pattern(&format!("(?:{written})(?s:.*)"))?))
}

fn pattern(written: &str) -> Result<FullRegex, SpecError> {
    FullRegex::new(written).map_err(|error| SpecError::new(Code::InvalidPattern, error.to_string()))
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
