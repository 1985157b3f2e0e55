//! The status of a VirtualService: whether its rules are understood and lead somewhere.

use jiff::Timestamp;
use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_core::route::Rule;
use tulle_crds::VirtualServiceStatus;
use tulle_crds::into_core::{self, Ctx, parse_virtual_service};
use tulle_crds::status::{ConditionType, Finding, Reason};

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
    let findings = match parse_virtual_service(object, &Ctx::new(settings.cluster_domain.as_str())) {
        Err(error) => report::refused(error.finding()),
        Ok(routes) => vec![
            Finding::is_true(ConditionType::Accepted, Reason::Accepted, "understood"),
            references(&routes, tenant),
            report::programmed(&of.namespace, &services(&routes), tenant, world),
        ],
    };
    let previous = object.status.as_ref();
    let (conditions, notes) = conclude(&**object, previous.map_or(&[], |status| &status.conditions), &findings, now);
    let status = VirtualServiceStatus {
        observed_generation: object.metadata.generation,
        conditions,
        hosts: Some(shown(&object.spec.hosts)),
        rules: i64::try_from(object.spec.http.len()).ok(),
        // Routes of several objects for one host add up, the oldest first, so none displaces another.
        winner: None,
    };
    report::write(Key::VirtualService(of.clone()), object, &status, previous, notes)
}

fn services(routes: &into_core::VirtualService) -> Vec<&ServiceRef> {
    let destinations = routes.rules.iter().flat_map(Rule::destinations).map(|destination| &destination.service);
    routes.hosts.iter().chain(destinations).collect()
}

fn references(routes: &into_core::VirtualService, tenant: &Tenant) -> Finding {
    let missing = |reason, code, path: String, why: String| {
        Finding::is_false(ConditionType::ResolvedRefs, reason, sentence(code, &path, &why))
    };
    for (index, host) in routes.hosts.iter().enumerate() {
        if !tenant.services.contains_key(&*host.name) {
            let why = format!("Service {host} does not exist");
            return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, format!("spec.hosts[{index}]"), why);
        }
    }
    for (rule_index, rule) in routes.rules.iter().enumerate() {
        for (index, destination) in rule.action.destinations().enumerate() {
            let path = format!("spec.http[{rule_index}].route[{index}].destination");
            let Some(service) = tenant.services.get(&*destination.service.name) else {
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
