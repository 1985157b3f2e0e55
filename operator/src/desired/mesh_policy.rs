//! The status of a MeshPolicy: whether it is understood, what it selects, and who decides where two say different things.

use jiff::Timestamp;
use tulle_core::authz::Policy;
use tulle_core::codes::Code;
use tulle_crds::into_core::{Ctx, parse_mesh_policy};
use tulle_crds::status::{ConditionType, Finding, Reason};
use tulle_crds::{MeshPolicy, MeshPolicyStatus};

use super::report::{self, conclude, sentence};
use super::{Plan, Settings};
use crate::world::{Key, Ref, Tenant, World};

/// The status to write, if its meaning changed.
#[must_use]
pub fn plan(of: &Ref, world: &World, settings: &Settings, now: Timestamp) -> Option<Plan> {
    let tenant = world.tenant(&of.namespace)?;
    let object = tenant.mesh_policies.get(&of.name)?;
    let ctx = Ctx::new(settings.cluster_domain.as_str());
    let parsed = parse_mesh_policy(object, &ctx);
    let winner = parsed.as_ref().ok().and_then(|policy| winner(policy, tenant, &ctx));
    let mesh_wide = &*of.namespace == settings.system_namespace.as_str();
    let findings = match (&parsed, &winner) {
        (Err(error), _) => report::refused(error.finding()),
        (Ok(policy), Some(winner)) if policy.authorization.is_none() => report::refused(conflict(winner)),
        (Ok(_), winner) => vec![
            accepted(winner.as_ref()),
            Finding::is_true(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "refers to no other object"),
            if mesh_wide {
                report::programmed_for_all(world)
            } else {
                report::programmed(&of.namespace, &[], tenant, world)
            },
        ],
    };
    let previous = object.status.as_ref();
    let (conditions, notes) = conclude(&**object, previous.map_or(&[], |status| &status.conditions), &findings, now);
    let status = MeshPolicyStatus {
        observed_generation: object.metadata.generation,
        conditions,
        target: Some(target(object, mesh_wide)),
        authorization: object
            .spec
            .authorization
            .as_ref()
            .map(|section| format!("{} {}", section.action, section.rules.len())),
        winner: winner.map(|winner| winner.name.to_string()),
    };
    report::write(Key::MeshPolicy(of.clone()), object, &status, previous, notes)
}

/// The older policy of the same target that also sets `mtls.mode`; authorization rules of several policies add up.
fn winner(policy: &Policy, tenant: &Tenant, ctx: &Ctx) -> Option<Policy> {
    let sets_mode = |policy: &Policy| policy.mtls.as_ref().is_some_and(|mtls| mtls.mode.is_some());
    if !sets_mode(policy) {
        return None;
    }
    let others = tenant.mesh_policies.values().filter_map(|other| parse_mesh_policy(other, ctx).ok());
    let rank = |policy: &Policy| (policy.created, policy.name.clone());
    others
        .filter(|other| sets_mode(other) && other.selector == policy.selector && rank(other) < rank(policy))
        .min_by_key(rank)
}

fn accepted(winner: Option<&Policy>) -> Finding {
    let text = match winner {
        Some(winner) => format!("understood; mtls.mode is decided by the older MeshPolicy {}", winner.name),
        None => "understood".to_owned(),
    };
    Finding::is_true(ConditionType::Accepted, Reason::Accepted, text)
}

fn conflict(winner: &Policy) -> Finding {
    let reason = format!("the older MeshPolicy {} decides for the same target", winner.name);
    Finding::is_false(
        ConditionType::Accepted,
        Reason::Conflicted,
        sentence(Code::Conflicting, "spec.mtls.mode", &reason),
    )
}

fn target(object: &MeshPolicy, mesh_wide: bool) -> String {
    let labels = object.spec.selector.iter().flat_map(|selector| &selector.match_labels);
    let labels = labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    match (labels.is_empty(), mesh_wide) {
        (false, _) => labels,
        (true, true) => "mesh".to_owned(),
        (true, false) => "namespace".to_owned(),
    }
}

#[cfg(test)]
mod tests;
