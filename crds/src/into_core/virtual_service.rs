//! VirtualService.

mod condition;
mod cors;
mod destination;
mod fault;
mod filter;
mod headers;
mod redirect;
mod rewrite;

use std::collections::BTreeSet;

use kube::ResourceExt;
use tulle_core::codes::Code;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::{Action, Destination, Match, Rank, Rule, StringMatch};

use super::error::{At, SpecError, each};
use super::value::nothing_else;
use super::{Ctx, namespace_of, rank_of};
use crate::virtual_service as written;

/// A VirtualService in the terms of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// Precedence among VirtualServices of one host.
    pub rank: Rank,
    /// The services its rules apply to.
    pub hosts: Vec<ServiceRef>,
    /// Its rules in order.
    pub rules: Vec<Rule<Destination>>,
}

/// Reads a VirtualService.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_virtual_service(object: &crate::VirtualService, ctx: &Ctx) -> Result<VirtualService, SpecError> {
    let namespace = namespace_of(object);
    let spec = &object.spec;
    let read = || {
        nothing_else(&spec.rest)?;
        let hosts = hosts(spec, ctx, &namespace)?;
        if spec.http.is_empty() {
            return Err(SpecError::new(Code::MissingField, "lists no rule").under("http"));
        }
        let source = format!("VirtualService {namespace}/{}", object.name_any());
        let rules = spec
            .http
            .iter()
            .enumerate()
            .map(|(index, route)| {
                rule(route, &format!("{source} http[{index}]"), ctx, &namespace).at(format_args!("http[{index}]"))
            })
            .collect::<Result<_, _>>()?;
        Ok(VirtualService { rank: rank_of(object), hosts, rules })
    };
    read().at("spec")
}

fn hosts(spec: &written::VirtualServiceSpec, ctx: &Ctx, namespace: &Namespace) -> Result<Vec<ServiceRef>, SpecError> {
    if spec.hosts.is_empty() {
        return Err(SpecError::new(Code::MissingField, "lists no host").under("hosts"));
    }
    let hosts = each("hosts", &spec.hosts, |host| ctx.own_service(host, namespace))?;
    let mut seen = BTreeSet::new();
    match hosts.iter().position(|host| !seen.insert(host)) {
        None => Ok(hosts),
        Some(index) => {
            let reason = format!("{} is listed twice", hosts[index]);
            Err(SpecError::new(Code::DuplicateEntry, reason).under(format_args!("hosts[{index}]")))
        }
    }
}

fn rule(
    route: &written::HttpRoute,
    name: &str,
    ctx: &Ctx,
    namespace: &Namespace,
) -> Result<Rule<Destination>, SpecError> {
    nothing_else(&route.rest)?;
    let filters = filter::filters(&route.filters)?;
    let matches = each("match", &route.matches, condition::condition)?;
    let action = action(route, &matches, ctx, namespace)?;
    if filters.rewrite.is_some() && !matches!(action, Action::Forward(_)) {
        return Err(SpecError::new(Code::InvalidValue, "nothing is forwarded that could be rewritten")
            .remedy("remove it, or give a route")
            .under("rewrite"));
    }
    Ok(Rule { name: name.into(), matches, action, filters })
}

/// What the rule decides: exactly one of three.
fn action(
    route: &written::HttpRoute,
    matches: &[Match],
    ctx: &Ctx,
    namespace: &Namespace,
) -> Result<Action<Destination>, SpecError> {
    let choices = "route, redirect and directResponse";
    match (route.route.as_slice(), &route.redirect, &route.direct_response) {
        ([], None, None) => Err(SpecError::new(Code::MissingField, format!("has none of {choices}"))),
        ([], Some(written), None) => {
            let has_prefix = |condition: &Match| matches!(condition.uri, Some(StringMatch::Prefix(_)));
            let prefixes = !matches.is_empty() && matches.iter().all(has_prefix);
            Ok(Action::Redirect(redirect::redirect(written, prefixes).at("redirect")?))
        }
        ([], None, Some(written)) => Ok(Action::Answer(redirect::direct(written).at("directResponse")?)),
        (branches, None, None) => Ok(Action::Forward(destination::branches(branches, ctx, namespace)?)),
        _ => Err(SpecError::new(Code::InvalidValue, format!("has more than one of {choices}"))),
    }
    .map_err(|error| if error.path.is_empty() { error.remedy("give exactly one") } else { error })
}

#[cfg(test)]
mod tests;
