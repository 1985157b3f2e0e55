//! The status of a TrafficSplit: whether it is in force, whether its backends are there, and the share each receives.

use jiff::Timestamp;
use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_crds::into_core::{self, Ctx, parse_traffic_split};
use tulle_crds::status::{ConditionType, Finding, Reason};
use tulle_crds::{BackendStatus, TrafficSplit, TrafficSplitStatus};

use super::report::{self, Note, conclude, sentence};
use super::{Plan, Settings};
use crate::world::{Key, Ref, Tenant, World};

/// The status to write, if its meaning changed.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings, now: Timestamp) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let object = tenant.traffic_splits.get(&of.name)?;
    let ctx = Ctx::new(settings.cluster_domain.as_str());
    let parsed = parse_traffic_split(object, &ctx);
    let backends = parsed.as_ref().map(|split| resolved(object, split, tenant)).unwrap_or_default();
    let winner = parsed.as_ref().ok().and_then(|split| winner(split, tenant, &ctx));
    let findings = match (&parsed, &winner) {
        (Err(error), _) => report::refused(error.finding()),
        (Ok(split), Some(winner)) => report::refused(conflict(split, winner)),
        (Ok(split), None) => findings(of, split, &backends, tenant, world),
    };
    let previous = object.status.as_ref();
    let (conditions, mut notes) =
        conclude(&**object, previous.map_or(&[], |status| &status.conditions), &findings, now);
    let weights = object.spec.backends.iter().map(|backend| backend.weight.to_string()).collect::<Vec<_>>().join("/");
    notes.extend(moved(object, previous.and_then(|status| status.weights.as_deref()), &weights));
    let status = TrafficSplitStatus {
        observed_generation: object.metadata.generation,
        conditions,
        weights: Some(weights),
        backends,
        winner: winner.map(|winner| format!("{}/{}", winner.rank.namespace, winner.rank.name)),
    };
    report::write(Key::TrafficSplit(of.clone()), object, &status, previous, notes)
}

/// The split of the same service that comes first in precedence, where that is another one.
fn winner(split: &into_core::TrafficSplit, tenant: &Tenant, ctx: &Ctx) -> Option<into_core::TrafficSplit> {
    let others = tenant.traffic_splits.values().filter_map(|other| parse_traffic_split(other, ctx).ok());
    others.filter(|other| other.apex == split.apex && other.rank < split.rank).min_by(|a, b| a.rank.cmp(&b.rank))
}

fn conflict(split: &into_core::TrafficSplit, winner: &into_core::TrafficSplit) -> Finding {
    let (service, rank) = (&split.apex.name, &winner.rank);
    let reason = format!("{service} is split already by the older TrafficSplit {}/{}", rank.namespace, rank.name);
    Finding::is_false(ConditionType::Accepted, Reason::Conflicted, sentence(Code::Conflicting, "spec.service", &reason))
}

fn findings(
    of: &Ref,
    split: &into_core::TrafficSplit,
    backends: &[BackendStatus],
    tenant: &Tenant,
    world: &World,
) -> Vec<Finding> {
    let services: Vec<&ServiceRef> = split.backends.iter().map(|(service, _)| service).chain([&split.apex]).collect();
    vec![
        Finding::is_true(ConditionType::Accepted, Reason::Accepted, "understood"),
        references(split, backends, tenant),
        report::programmed(&of.namespace, &services, tenant, world),
    ]
}

fn references(split: &into_core::TrafficSplit, backends: &[BackendStatus], tenant: &Tenant) -> Finding {
    let missing = |reason, code, path: &str, why: String| {
        Finding::is_false(ConditionType::ResolvedRefs, reason, sentence(code, path, &why))
    };
    let backends_named = split.backends.iter().enumerate();
    let named = backends_named.map(|(index, (name, _))| (format!("spec.backends[{index}].service"), name));
    for (path, name) in std::iter::once(("spec.service".to_owned(), &split.apex)).chain(named) {
        let Some(service) = tenant.services.get(&*name.name) else {
            let why = format!("Service {name} does not exist");
            return missing(Reason::ServiceNotFound, Code::ReferenceNotFound, &path, why);
        };
        if let Some(alias) = report::alias(&path, name, service) {
            return alias;
        }
    }
    for (index, backend) in backends.iter().enumerate() {
        if backend.weight > 0 && backend.ready_endpoints == 0 {
            let share = if backends.iter().any(|other| other.effective_percent > 0) {
                ", the others hold its share"
            } else {
                ""
            };
            let why = format!("{} has no ready endpoint{share}", backend.service);
            return missing(Reason::BackendUnavailable, Code::NoEndpoints, &format!("spec.backends[{index}]"), why);
        }
    }
    Finding::is_true(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "every service exists and has ready endpoints")
}

/// Each backend with the share that it receives: the weights of those that can answer, which is what proxies do.
fn resolved(object: &TrafficSplit, split: &into_core::TrafficSplit, tenant: &Tenant) -> Vec<BackendStatus> {
    let ready: Vec<usize> = split.backends.iter().map(|(service, _)| tenant.ready_endpoints(&service.name)).collect();
    let live = |(weight, ready): (u32, usize)| if ready > 0 { u64::from(weight) } else { 0 };
    let total: u64 = split.backends.iter().zip(&ready).map(|((_, weight), ready)| live((weight.0, *ready))).sum();
    let rows = object.spec.backends.iter().zip(&split.backends).zip(&ready);
    rows.map(|((written, (_, weight)), ready)| BackendStatus {
        service: written.service.clone(),
        weight: written.weight,
        effective_percent: percent(live((weight.0, *ready)), total),
        ready_endpoints: i64::try_from(*ready).unwrap_or(i64::MAX),
    })
    .collect()
}

/// Rounded half up; weights are at most a million, so nothing overflows.
fn percent(part: u64, total: u64) -> i64 {
    if total == 0 { 0 } else { i64::try_from((part * 200 + total) / (total * 2)).unwrap_or(100) }
}

fn moved(object: &TrafficSplit, before: Option<&str>, after: &str) -> Option<Note> {
    let before = before.filter(|before| *before != after)?;
    let names = object.spec.backends.iter().map(|backend| backend.service.as_str()).collect::<Vec<_>>().join("/");
    let text = format!("weights of {} ({names}): {before} → {after}", object.spec.service);
    Some(Note { warning: false, reason: "WeightChanged", text })
}

#[cfg(test)]
mod tests;
