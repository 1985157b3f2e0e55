//! VirtualService.

mod condition;
mod destination;
mod filter;

use std::collections::BTreeSet;

use kube::ResourceExt;
use tulle_core::codes::Code;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::route::{Action, Destination, Rank, Rule};

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
    Ok(Rule {
        name: name.into(),
        matches: each("match", &route.matches, condition::condition)?,
        action: Action::Forward(destination::branches(&route.route, ctx, namespace)?),
        filters: filter::filters(&route.filters)?,
    })
}
