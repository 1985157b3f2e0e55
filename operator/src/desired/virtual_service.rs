//! The status of a VirtualService: whether its rules are understood and lead somewhere.

mod delegates;
mod winner;

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::Timestamp;
use tulle_core::codes::Code;
use tulle_core::host::Host;
use tulle_core::name::ServiceRef;
use tulle_core::route::bytes::ByteRule;
use tulle_core::route::delegate::Composed;
use tulle_core::route::{Action, Destination, Rule};
use tulle_core::split::Split;
use tulle_crds::into_core::{self, Ctx, SpecError, parse_virtual_service};
use tulle_crds::status::{ConditionType, Finding, Reason};
use tulle_crds::{VirtualService, VirtualServiceSpec, VirtualServiceStatus};

use self::winner::Winner;
use super::report::{self, conclude, sentence};
use super::{Plan, Settings};
use crate::world::{Key, Ref, Tenant, World};

/// Hosts shown before `+n`.
const HOSTS_SHOWN: usize = 2;

/// What becomes of requests that rules are for which cannot be read.
const INSTEAD: &str =
    "What fits them gets 500 (invalid-rule), or what the last good version did where a proxy still has it";

/// The status to write, if its meaning changed.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings, now: Timestamp) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let object = tenant.virtual_services.get(&of.name)?;
    let ctx = Ctx::new(settings.cluster_domain.as_str());
    let parsed = parse_virtual_service(object, &ctx);
    let neighbours = tenant.virtual_services.values().filter_map(|other| parse_virtual_service(other, &ctx).ok());
    let neighbours: Vec<_> = if parsed.is_ok() { neighbours.collect() } else { Vec::new() };
    let winner = parsed.as_ref().ok().and_then(|routes| Winner::over(routes, &neighbours, world, &ctx));
    let findings = match (&parsed, &winner) {
        (Err(error), _) => report::refused(error.finding()),
        (Ok(routes), _) if routes.invalid.len() == rules(&object.spec) => report::refused(unreadable(routes)),
        (Ok(routes), Some(winner)) => report::refused(winner.finding(routes)),
        (Ok(routes), None) => findings((routes, &neighbours), object, tenant, world, &ctx),
    };
    let previous = object.status.as_ref();
    let (conditions, notes) = conclude(&**object, previous.map_or(&[], |status| &status.conditions), &findings, now);
    let status = VirtualServiceStatus {
        observed_generation: object.metadata.generation,
        conditions,
        hosts: (!object.spec.hosts.is_empty()).then(|| shown(&object.spec.hosts)),
        rules: i64::try_from(rules(&object.spec)).ok(),
        winner: winner.map(|winner| winner.name()),
    };
    report::write(Key::VirtualService(of.clone()), object, &status, previous, notes)
}

/// What is said of an object that can be read and is not held back by another.
fn findings(
    (routes, neighbours): (&into_core::VirtualService, &[into_core::VirtualService]),
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
    // A rule that may not lead where it does is one that cannot be read, and a reference that is not resolved.
    let forbidden = routes.invalid.iter().map(SpecError::finding).find(|said| said.kind == ConditionType::ResolvedRefs);
    let mut findings = vec![
        Finding::is_true(ConditionType::Accepted, Reason::Accepted, accepted(&object.spec, routes, neighbours)),
        forbidden.or(broken).unwrap_or_else(|| references(routes, world)),
        report::programmed(&routes.rank.namespace, &services(routes, &composed), tenant, world),
    ];
    findings.extend(routes.dropped().map(|dropped| {
        Finding::is_true(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, format!("{dropped}. {INSTEAD}"))
    }));
    findings
}

/// What is said where no rule can be read.
fn unreadable(routes: &into_core::VirtualService) -> Finding {
    let first = routes.invalid[0].finding();
    Finding::new(first.kind, first.truth, first.reason, format!("{}. {INSTEAD}", first.message))
}

fn rules(spec: &VirtualServiceSpec) -> usize {
    spec.http.len() + spec.tls.len() + spec.tcp.len()
}

/// What is said of a spec that can be used, with what of it is not served.
fn accepted(
    spec: &VirtualServiceSpec,
    routes: &into_core::VirtualService,
    neighbours: &[into_core::VirtualService],
) -> String {
    let mut said = "understood".to_owned();
    let home = &routes.rank.namespace;
    if routes.hosts.is_empty() {
        said.push_str("; it has no hosts, so other objects use its rules by delegate, and nobody else");
    }
    // Writing to a String cannot fail.
    if let Some(host) = routes.hosts.iter().find(|host| host.namespace() != home) {
        let namespace = host.namespace();
        let whose = if host.service().is_some() { "" } else { " that does not name a service of it" };
        let _ = write!(said, "; for callers in {home} only, whose calls to {host} no rule of {namespace}{whose} sees");
    }
    let named = named_by_others(routes, neighbours);
    if !named.is_empty() {
        let _ = write!(said, "; not asked for {}, which other objects name", shown(&named));
    }
    let http = spec.http.iter().flat_map(|route| &route.matches).flat_map(|condition| &condition.gateways);
    let tls = spec.tls.iter().flat_map(|route| &route.matches).flat_map(|condition| &condition.connection.gateways);
    let tcp = spec.tcp.iter().flat_map(|route| &route.matches).flat_map(|condition| &condition.connection.gateways);
    let mut gateways = spec.gateways.iter().chain(http).chain(tls).chain(tcp);
    if gateways.any(|gateway| gateway != "mesh") {
        said.push_str("; of the gateways only mesh is served by this release");
    }
    said
}

/// The Services that a wildcard of an object covers and that neighbours name, which are asked instead.
fn named_by_others(routes: &into_core::VirtualService, neighbours: &[into_core::VirtualService]) -> Vec<String> {
    if routes.hosts.iter().all(|host| host.service().is_some()) {
        return Vec::new();
    }
    let named = neighbours.iter().flat_map(|other| &other.hosts).filter_map(Host::service);
    let ours = |service: &&ServiceRef| routes.host_of(service).is_some_and(|host| host.service().is_none());
    named.filter(ours).collect::<BTreeSet<_>>().iter().map(ToString::to_string).collect()
}

fn services<'a>(routes: &'a into_core::VirtualService, composed: &'a Composed<'_, Destination>) -> Vec<&'a ServiceRef> {
    let of_requests = composed.rules.iter().flat_map(Rule::destinations);
    let of_bytes = routes.bytes.rules().flat_map(ByteRule::destinations);
    // A Service that a wildcard covers is covered as soon as it is published, and nothing waits for it.
    let hosts = routes.hosts.iter().filter_map(Host::service);
    hosts.chain(of_requests.chain(of_bytes).map(|destination| &destination.service)).collect()
}

fn references(routes: &into_core::VirtualService, world: &World) -> Finding {
    let found = |service: &ServiceRef| world.tenant(&service.namespace)?.services.get(&*service.name);
    let missing = |reason, code, path: String, why: String| {
        Finding::is_false(ConditionType::ResolvedRefs, reason, sentence(code, &path, &why))
    };
    for (index, host) in routes.hosts.iter().enumerate() {
        let path = format!("spec.hosts[{index}]");
        let known = host.service().and_then(|name| Some((name, found(name)?)));
        if let Some(alias) = known.and_then(|(name, known)| report::alias(&path, name, known)) {
            return alias;
        }
        let why = match host.service() {
            Some(service) if known.is_none() => format!("Service {service} does not exist"),
            None if world.tenant(host.namespace()).is_none_or(|tenant| tenant.services.is_empty()) => {
                format!("namespace {} has no Service", host.namespace())
            }
            _ => continue,
        };
        return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, path, why);
    }
    for Leads { path, to: destination, .. } in destinations(routes) {
        let Some(service) = found(&destination.service) else {
            let why = format!("Service {} does not exist", destination.service);
            return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, format!("{path}.host"), why);
        };
        if let Some(alias) = report::alias(&format!("{path}.host"), &destination.service, service) {
            return alias;
        }
        if let Some(port) = destination.port
            && !service.ports.iter().any(|known| known.port == port)
        {
            let why = format!("Service {} has no TCP port {port}", destination.service);
            return missing(Reason::PortNotFound, Code::PortNotFound, format!("{path}.port.number"), why);
        }
    }
    let empty = |leads: &Leads<'_>| leads.receives && is_empty_subset(leads.to, world);
    if let Some(Leads { path, to, .. }) = destinations(routes).find(empty) {
        let name = to.subset.as_ref().map_or("", |subset| &subset.name);
        let why = format!("subset {name} of {} has no ready endpoint, and what is sent to it fails", to.service);
        return missing(Reason::BackendUnavailable, Code::NoEndpoints, format!("{path}.subset"), why);
    }
    Finding::is_true(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "every service, port and subset exists")
}

/// Whether a destination is a subset to which no ready endpoint belongs.
fn is_empty_subset(to: &Destination, world: &World) -> bool {
    let Some(subset) = &to.subset else { return false };
    !world.tenant(&to.service.namespace).is_some_and(|tenant| tenant.is_ready(&to.service.name, subset))
}

/// A destination that an object names itself.
struct Leads<'a> {
    /// Its place.
    path: String,
    to: &'a Destination,
    /// Whether its share is above 0.
    receives: bool,
}

/// Every destination an object names itself.
fn destinations(routes: &into_core::VirtualService) -> impl Iterator<Item = Leads<'_>> {
    // `VirtualService shop/web http[1]`: rules for gateways are left out, so a position in the list would name another one.
    let place = |name: &str| name.rsplit(' ').next().unwrap_or_default().to_owned();
    let of_requests = routes.rules.iter().flat_map(move |rule| {
        let shares = if let Action::Forward(branches) = &rule.action { Some(branches.entries()) } else { None };
        let branches = shares.into_iter().flatten().map(|(branch, weight)| (&branch.destination, weight.0 > 0));
        let mirrors = rule.filters.mirrors.iter().map(|mirror| (&mirror.destination, mirror.share.covers(0)));
        let branches = branches.enumerate().map(|(index, led)| (format!("route[{index}]"), led));
        let all = branches.chain(mirrors.enumerate().map(|(index, led)| (format!("mirrors[{index}]"), led)));
        all.map(move |(field, led)| (format!("spec.{}.{field}.destination", place(&rule.name)), led))
    });
    let of_bytes = routes.bytes.rules().flat_map(move |rule| {
        let all = rule.to.iter().flat_map(Split::entries).map(|(to, weight)| (to, weight.0 > 0)).enumerate();
        all.map(move |(index, led)| (format!("spec.{}.route[{index}].destination", place(&rule.name)), led))
    });
    of_requests.chain(of_bytes).map(|(path, (to, receives))| Leads { path, to, receives })
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
