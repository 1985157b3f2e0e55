//! The status of a VirtualService: whether its rules are understood and lead somewhere.

mod delegates;

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;
use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_core::route::delegate::Composed;
use tulle_core::route::{Destination, Export, Rank, Rule};
use tulle_crds::into_core::{self, Ctx, parse_virtual_service};
use tulle_crds::status::{ConditionType, Finding, Reason};
use tulle_crds::{VirtualService, VirtualServiceSpec, VirtualServiceStatus};

use super::report::{self, conclude, sentence};
use super::{Plan, Settings};
use crate::world::{Key, Ref, Tenant, World};

/// Hosts shown before `+n`.
const HOSTS_SHOWN: usize = 2;

/// The status to write, if its meaning changed.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings, now: Timestamp) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let object = tenant.virtual_services.get(&of.name)?;
    let ctx = Ctx::new(settings.cluster_domain.as_str());
    let parsed = parse_virtual_service(object, &ctx);
    let winner = parsed.as_ref().ok().and_then(|routes| Winner::over(routes, tenant, world, &ctx));
    let findings = match (&parsed, &winner) {
        (Err(error), _) => report::refused(error.finding()),
        (Ok(routes), Some(winner)) => report::refused(winner.finding(routes)),
        (Ok(routes), None) => findings(routes, object, tenant, world, &ctx),
    };
    let previous = object.status.as_ref();
    let (conditions, notes) = conclude(&**object, previous.map_or(&[], |status| &status.conditions), &findings, now);
    let status = VirtualServiceStatus {
        observed_generation: object.metadata.generation,
        conditions,
        hosts: (!object.spec.hosts.is_empty()).then(|| shown(&object.spec.hosts)),
        rules: i64::try_from(object.spec.http.len()).ok(),
        winner: winner.map(|winner| winner.name()),
    };
    report::write(Key::VirtualService(of.clone()), object, &status, previous, notes)
}

/// What is said of an object that can be read and is not held back by another.
fn findings(
    routes: &into_core::VirtualService,
    object: &VirtualService,
    tenant: &Tenant,
    world: &World,
    ctx: &Ctx,
) -> Vec<Finding> {
    let composed = delegates::composed(routes, world, ctx);
    let broken = delegates::broken(routes, &composed);
    let broken = match broken {
        Some(broken) if broken.kind == ConditionType::Accepted => return report::refused(broken),
        broken => broken,
    };
    vec![
        Finding::is_true(ConditionType::Accepted, Reason::Accepted, accepted(&object.spec, routes)),
        broken.unwrap_or_else(|| references(routes, world)),
        report::programmed(&routes.rank.namespace, &services(routes, &composed), tenant, world),
    ]
}

/// An older object that takes every request before this one is asked.
///
/// Rules of several objects for one host add up, the oldest object first. What stands behind a rule without conditions is never reached.
struct Winner {
    rank: Rank,
    /// The rule without conditions.
    rule: Arc<str>,
}

impl Winner {
    /// The one over all of an object's hosts: where only some are taken, the object still decides for the others.
    fn over(routes: &into_core::VirtualService, tenant: &Tenant, world: &World, ctx: &Ctx) -> Option<Winner> {
        let all = tenant.virtual_services.values().filter_map(|other| parse_virtual_service(other, ctx).ok());
        let mut older: Vec<_> = all.filter(|other| other.rank < routes.rank && reaches(other, routes)).collect();
        older.sort_by(|a, b| a.rank.cmp(&b.rank));
        let over = |host: &ServiceRef| {
            older.iter().filter(|other| other.hosts.contains(host)).find_map(|other| {
                let composed = delegates::composed(other, world, ctx);
                let rule = composed.rules.iter().find(|rule| rule.takes_all())?;
                Some(Winner { rank: other.rank.clone(), rule: Arc::clone(&rule.name) })
            })
        };
        routes.hosts.iter().map(over).reduce(|first, next| next.and(first)).flatten()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.rank.namespace, self.rank.name)
    }

    fn finding(&self, routes: &into_core::VirtualService) -> Finding {
        let host = &routes.hosts[0];
        let reason = format!("every request to {host} is taken already by the older {}", self.rule);
        Finding::is_false(
            ConditionType::Accepted,
            Reason::Conflicted,
            sentence(Code::Conflicting, "spec.hosts[0]", &reason),
        )
    }
}

/// Whether every proxy that follows `routes` follows `other` as well, as far as that is plain.
fn reaches(other: &into_core::VirtualService, routes: &into_core::VirtualService) -> bool {
    other.export == Export::Everywhere || other.export == routes.export
}

/// What is said of a spec that can be used, with what of it is not served.
fn accepted(spec: &VirtualServiceSpec, routes: &into_core::VirtualService) -> String {
    let mut said = "understood".to_owned();
    let home = &routes.rank.namespace;
    if routes.hosts.is_empty() {
        said.push_str("; it has no hosts, so other objects use its rules by delegate, and nobody else");
    }
    if let Some(host) = routes.hosts.iter().find(|host| host.namespace != *home) {
        // Writing to a String cannot fail.
        let _ = write!(said, "; for callers in {home} only, whose calls to {host} no rule of {} sees", host.namespace);
    }
    let matches = spec.http.iter().flat_map(|route| &route.matches);
    let mut gateways = spec.gateways.iter().chain(matches.flat_map(|condition| &condition.gateways));
    if gateways.any(|gateway| gateway != "mesh") {
        said.push_str("; of the gateways only mesh is served by this release");
    }
    said
}

fn services<'a>(routes: &'a into_core::VirtualService, composed: &'a Composed<'_, Destination>) -> Vec<&'a ServiceRef> {
    let destinations = composed.rules.iter().flat_map(Rule::destinations).map(|destination| &destination.service);
    routes.hosts.iter().chain(destinations).collect()
}

fn references(routes: &into_core::VirtualService, world: &World) -> Finding {
    let found = |service: &ServiceRef| world.tenant(&service.namespace)?.services.get(&*service.name);
    let missing = |reason, code, path: String, why: String| {
        Finding::is_false(ConditionType::ResolvedRefs, reason, sentence(code, &path, &why))
    };
    for (index, host) in routes.hosts.iter().enumerate() {
        if found(host).is_none() {
            let why = format!("Service {host} does not exist");
            return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, format!("spec.hosts[{index}]"), why);
        }
    }
    for rule in &routes.rules {
        // `VirtualService shop/web http[1]`: rules for gateways are left out, so a position in the list would name another one.
        let place = rule.name.rsplit(' ').next().unwrap_or_default();
        let branches = rule.action.destinations().enumerate().map(|(index, to)| (format!("route[{index}]"), to));
        let mirrors = rule.filters.mirrors.iter().enumerate();
        let mirrors = mirrors.map(|(index, mirror)| (format!("mirrors[{index}]"), &mirror.destination));
        for (field, destination) in branches.chain(mirrors) {
            let path = format!("spec.{place}.{field}.destination");
            let Some(service) = found(&destination.service) else {
                let why = format!("Service {} does not exist", destination.service);
                return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, format!("{path}.host"), why);
            };
            if let Some(port) = destination.port
                && !service.ports.iter().any(|known| known.port == port)
            {
                let why = format!("Service {} has no TCP port {port}", destination.service);
                return missing(Reason::PortNotFound, Code::PortNotFound, format!("{path}.port.number"), why);
            }
        }
    }
    Finding::is_true(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "every service and port exists")
}

fn shown(hosts: &[String]) -> String {
    let first = hosts.iter().take(HOSTS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(",");
    match hosts.len().checked_sub(HOSTS_SHOWN) {
        Some(more @ 1..) => format!("{first} +{more}"),
        _ => first,
    }
}

#[cfg(test)]
mod tests;
