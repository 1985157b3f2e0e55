//! VirtualService.

mod bytes;
mod condition;
mod cors;
mod delegate;
mod destination;
mod fault;
mod filter;
mod headers;
mod invalid;
mod mirror;
mod redirect;
mod rewrite;
mod scope;
mod subsets;
mod traffic_policy;

use std::collections::BTreeSet;

use kube::ResourceExt;
use tulle_core::codes::Code;
use tulle_core::host::Host;
use tulle_core::name::{Namespace, ServiceRef, is_label};
use tulle_core::route::bytes::ByteTable;
use tulle_core::route::{Action, Destination, Export, Filters, Match, Rank, Rule, StringMatch};

use self::scope::Scope;
use super::error::{At, SpecError, each};
use super::value::nothing_else;
use super::{Ctx, namespace_of, rank_of};
use crate::virtual_service as written;

/// A VirtualService in the terms of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// Precedence among VirtualServices of one host.
    pub rank: Rank,
    /// What its rules apply to. Services of other namespaces only for callers in this object's own. None: it is there to be
    /// delegated to.
    pub hosts: Vec<Host>,
    /// Its rules for requests in order, as written; see [`composed`](Self::composed).
    pub rules: Vec<Rule<Destination>>,
    /// Its rules for other connections.
    pub bytes: ByteTable<Destination>,
    /// Whose proxies follow them.
    pub export: Export,
    /// What is wrong with rules that cannot be read. They keep their places among the others, without saying what happens.
    pub invalid: Vec<SpecError>,
}

/// What stands for every sidecar among `gateways`.
const MESH: &str = "mesh";

/// Reads a VirtualService. A rule with a mistake is among the [invalid](VirtualService::invalid) ones where its conditions can be read.
///
/// # Errors
/// The first mistake that concerns more than one rule, with its place: conditions that cannot be read may be meant to keep requests from
/// any other.
pub fn parse_virtual_service(object: &crate::VirtualService, ctx: &Ctx) -> Result<VirtualService, SpecError> {
    let namespace = namespace_of(object);
    let spec = &object.spec;
    let read = || {
        nothing_else(&spec.rest)?;
        if !spec.gateways.is_empty() && !spec.gateways.iter().any(|gateway| gateway == MESH) {
            return Err(SpecError::new(
                Code::UnsupportedField,
                "names gateways only, which this release does not serve",
            )
            .remedy("add mesh, or remove the object")
            .under("gateways"));
        }
        let hosts = hosts(spec, ctx, &namespace)?;
        let scope = Scope::new(ctx, &namespace, &hosts, spec)?;
        let export = export(&spec.export_to, &scope)?;
        if spec.http.is_empty() && spec.tls.is_empty() && spec.tcp.is_empty() {
            return Err(SpecError::new(Code::MissingField, "lists no rule").remedy("give one in http, tls or tcp"));
        }
        let source = format!("VirtualService {namespace}/{}", object.name_any());
        let mut invalid = Vec::new();
        let rules = rules("http", &spec.http, (&source, &mut invalid), |route, name| rule(route, name, &scope))?;
        let bytes = bytes::table(spec, (&source, &mut invalid), &scope)?;
        let invalid = invalid.into_iter().map(|mistake| mistake.under("spec")).collect();
        Ok(VirtualService { rank: rank_of(object), hosts, rules, bytes, export, invalid })
    };
    read().at("spec")
}

impl VirtualService {
    /// The most specific of its hosts that a Service is among; `None`: it does not speak for the Service.
    pub fn host_of(&self, service: &ServiceRef) -> Option<&Host> {
        self.hosts.iter().filter(|host| host.covers(service)).min()
    }
}

fn hosts(spec: &written::VirtualServiceSpec, ctx: &Ctx, namespace: &Namespace) -> Result<Vec<Host>, SpecError> {
    let hosts = each("hosts", &spec.hosts, |host| ctx.host(host, namespace))?;
    let mut seen = BTreeSet::new();
    match hosts.iter().position(|host| !seen.insert(host)) {
        None => Ok(hosts),
        Some(index) => {
            let reason = format!("{} is listed twice", hosts[index]);
            Err(SpecError::new(Code::DuplicateEntry, reason).under(format_args!("hosts[{index}]")))
        }
    }
}

/// Namespaces by name, `.` for the object's own and `*` for all.
fn export(written: &[String], scope: &Scope<'_>) -> Result<Export, SpecError> {
    let namespace = scope.namespace;
    let names = each("exportTo", written, |name| match name.as_str() {
        "." => Ok(Some(namespace.clone())),
        "*" => Ok(None),
        name if is_label(name) => Ok(Some(name.into())),
        name => Err(SpecError::new(Code::InvalidValue, format!("{name:?} is no name of a namespace"))
            .remedy("give a namespace, . for the object's own, or * for all")),
    })?;
    let export = match names.into_iter().collect::<Option<BTreeSet<_>>>() {
        Some(namespaces) if !namespaces.is_empty() => Export::To(namespaces),
        _ => Export::Everywhere,
    };
    if scope.is_consumer() && !export.reaches(namespace) {
        let reason =
            format!("leaves out {namespace}, and rules for services of other namespaces are for callers in it alone");
        return Err(SpecError::new(Code::InvalidValue, reason).remedy("add ., or remove the field").under("exportTo"));
    }
    Ok(export)
}

/// A rule as read.
struct Read<R> {
    /// `None`: all of its conditions are for gateways alone.
    rule: Option<R>,
    /// Why it cannot be read beyond its conditions.
    mistake: Option<SpecError>,
}

/// The rules of a list. `read` is given each with its name, and leaves out those for gateways alone.
fn rules<W, R>(
    field: &str,
    list: &[W],
    (source, invalid): (&str, &mut Vec<SpecError>),
    read: impl Fn(&W, &str) -> Result<Read<R>, SpecError>,
) -> Result<Vec<R>, SpecError> {
    let mut rules = Vec::with_capacity(list.len());
    for (index, route) in list.iter().enumerate() {
        let place = format!("{field}[{index}]");
        let Read { rule, mistake } = read(route, &format!("{source} {place}")).at(&place)?;
        invalid.extend(mistake.map(|mistake| mistake.under(&place)));
        rules.extend(rule);
    }
    Ok(rules)
}

/// A rule for requests.
fn rule(route: &written::HttpRoute, name: &str, scope: &Scope<'_>) -> Result<Read<Rule<Destination>>, SpecError> {
    // All are read, so that each mistake is told; what is for gateways alone is left out.
    let read = each("match", &route.matches, condition::condition)?;
    let matches: Vec<Match> = read
        .into_iter()
        .zip(&route.matches)
        .filter(|(_, written)| condition::is_for_mesh(&written.gateways))
        .map(|(m, _)| m)
        .collect();
    let (action, filters, mistake) = match decision(route, &matches, scope) {
        Ok((action, filters)) => (action, filters, None),
        Err(mistake) => (Action::Invalid, Filters::default(), Some(mistake)),
    };
    let for_mesh = route.matches.is_empty() || !matches.is_empty();
    let rule = for_mesh.then(|| Rule { name: name.into(), matches, within: Vec::new(), action, filters });
    Ok(Read { rule, mistake })
}

/// What happens to requests that fit.
fn decision(
    route: &written::HttpRoute,
    matches: &[Match],
    scope: &Scope<'_>,
) -> Result<(Action<Destination>, Filters), SpecError> {
    nothing_else(&route.rest)?;
    let filters = filter::filters(&route.filters, scope)?;
    let action = action(route, matches, scope)?;
    if filters.rewrite.is_some() && !matches!(action, Action::Forward(_) | Action::Delegate(_)) {
        return Err(SpecError::new(Code::InvalidValue, "nothing is forwarded that could be rewritten")
            .remedy("remove it, or give a route")
            .under("rewrite"));
    }
    if !filters.mirrors.is_empty() && !matches!(action, Action::Forward(_) | Action::Delegate(_)) {
        let field = if route.filters.mirror.is_some() { "mirror" } else { "mirrors" };
        return Err(SpecError::new(Code::InvalidValue, "nothing is forwarded that could be mirrored")
            .remedy("remove it, or give a route")
            .under(field));
    }
    Ok((action, filters))
}

/// What the rule decides: exactly one of four.
fn action(route: &written::HttpRoute, matches: &[Match], scope: &Scope<'_>) -> Result<Action<Destination>, SpecError> {
    let choices = "route, redirect, directResponse and delegate";
    match (route.route.as_slice(), &route.redirect, &route.direct_response, &route.delegate) {
        ([], None, None, None) => Err(SpecError::new(Code::MissingField, format!("has none of {choices}"))),
        ([], Some(written), None, None) => {
            let has_prefix = |condition: &Match| matches!(condition.uri, Some(StringMatch::Prefix(_)));
            let prefixes = !matches.is_empty() && matches.iter().all(has_prefix);
            Ok(Action::Redirect(redirect::redirect(written, prefixes).at("redirect")?))
        }
        ([], None, Some(written), None) => Ok(Action::Answer(redirect::direct(written).at("directResponse")?)),
        ([], None, None, Some(written)) => {
            Ok(Action::Delegate(delegate::delegate(written, scope.namespace).at("delegate")?))
        }
        (branches, None, None, None) => Ok(Action::Forward(destination::branches(branches, scope)?)),
        _ => Err(SpecError::new(Code::InvalidValue, format!("has more than one of {choices}"))),
    }
    .map_err(|error| if error.path.is_empty() { error.remedy("give exactly one") } else { error })
}

#[cfg(test)]
mod tests;
