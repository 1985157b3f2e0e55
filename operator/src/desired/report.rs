//! The status of a user object in the making: findings in, conditions and events out, and nothing at all where nothing
//! changed its meaning.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use tulle_core::codes::Code;
use tulle_core::name::ServiceRef;
use tulle_crds::status::{ConditionType, Finding, Reason, Truth, conditions};

use super::Plan;
use crate::world::{Key, Service, Tenant, World};

/// A status to write, with what people should hear of.
#[derive(Clone, Debug)]
pub struct Report {
    /// The object.
    pub key: Key,
    /// The object, for events.
    pub about: ObjectReference,
    /// Its whole status.
    pub status: serde_json::Value,
    /// Events, at transitions only.
    pub notes: Vec<Note>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should act.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// One sentence.
    pub text: String,
}

/// The conditions to write, and the event that their change deserves.
#[must_use]
pub fn conclude(
    meta: &impl Resource,
    previous: &[Condition],
    findings: &[Finding],
    now: Timestamp,
) -> (Vec<Condition>, Vec<Note>) {
    let generation = meta.meta().generation.unwrap_or_default();
    let conditions = conditions(previous, findings, generation, now);
    let (before, after) = (ready(previous), ready(&conditions));
    let said = |condition: Option<&Condition>| condition.map(|c| (c.status.clone(), c.reason.clone()));
    let mut notes = Vec::new();
    if said(before) != said(after)
        && let Some(after) = after
    {
        let cause = findings.iter().map(|finding| finding.reason.as_str()).find(|reason| *reason == after.reason);
        notes.push(Note {
            warning: after.status == "False",
            reason: cause.unwrap_or(Reason::Ready.as_str()),
            text: after.message.clone(),
        });
    }
    (conditions, notes)
}

/// The plan to write `status`, or `None` where the object carries it already.
#[must_use]
pub fn write<K, S>(key: Key, object: &Arc<K>, status: &S, found: Option<&S>, notes: Vec<Note>) -> Option<Plan>
where
    K: Resource<DynamicType = ()>,
    S: serde::Serialize + PartialEq,
{
    if found == Some(status) {
        return None;
    }
    // A status is a plain structure of strings and numbers, which JSON can always hold.
    let status = serde_json::to_value(status).ok()?;
    Some(Plan::Status(Box::new(Report { about: object.object_ref(&()), key, status, notes })))
}

/// `Programmed` of an accepted object: true once what proxies of the namespace need can be read by them. It says nothing
/// of how many have applied it.
#[must_use]
pub fn programmed(namespace: &str, services: &[&ServiceRef], tenant: &Tenant, world: &World) -> Finding {
    if !tenant.is_meshed() {
        let text = format!(
            "namespace {namespace} has no proxies yet; label it tulle.dev/inject=enabled and restart its workloads"
        );
        return Finding::is_true(ConditionType::Programmed, Reason::Unused, text);
    }
    if !world.is_bound(namespace) {
        return propagating("the proxies' right to read is being published");
    }
    // A Service that does not exist is ResolvedRefs' to report; one that does has a MeshService in a moment.
    let unpublished = |service: &ServiceRef| {
        world.tenant(&service.namespace).is_some_and(|tenant| {
            tenant.services.contains_key(&*service.name) && !tenant.mesh_services.contains_key(&*service.name)
        })
    };
    match services.iter().find(|service| unpublished(service)) {
        Some(service) => propagating(&format!("MeshService {service} is being published")),
        None => readable(),
    }
}

/// The same for an object that every proxy reads.
#[must_use]
pub fn programmed_for_all(world: &World) -> Finding {
    let mut meshed = world.tenants.iter().filter(|(_, tenant)| tenant.is_meshed()).peekable();
    if meshed.peek().is_none() {
        let text = "no namespace has proxies yet; label one tulle.dev/inject=enabled";
        return Finding::is_true(ConditionType::Programmed, Reason::Unused, text);
    }
    if meshed.all(|(name, _)| world.is_bound(name)) {
        readable()
    } else {
        propagating("the proxies' right to read is being published")
    }
}

/// The findings of an object that is not in force, from the one that says why.
#[must_use]
pub fn refused(cause: Finding) -> Vec<Finding> {
    let held_back =
        |kind| Finding::new(kind, Truth::Unknown, Reason::NotAccepted, "not looked at until the object is accepted");
    let programmed =
        Finding::is_false(ConditionType::Programmed, Reason::NotAccepted, "held back until the object is accepted");
    match cause.kind {
        ConditionType::Accepted => vec![cause, held_back(ConditionType::ResolvedRefs), programmed],
        _ => vec![Finding::is_true(ConditionType::Accepted, Reason::Accepted, "understood"), cause, programmed],
    }
}

/// A sentence in the form of every mistake in a spec: code, place, reason, remedy.
#[must_use]
pub fn sentence(code: Code, path: &str, reason: &str) -> String {
    format!("{code}: {path}: {reason}; {}", code.remedy())
}

/// What is said where a Service that is named is an alias, which proxies can neither be asked for nor send to.
#[must_use]
pub fn alias(path: &str, name: &ServiceRef, service: &Service) -> Option<Finding> {
    let why = format!("Service {name} is an alias of {} (ExternalName)", service.alias_of.as_ref()?);
    let said = sentence(Code::AliasedService, path, &why);
    Some(Finding::is_false(ConditionType::ResolvedRefs, Reason::ExternalName, said))
}

fn readable() -> Finding {
    Finding::is_true(ConditionType::Programmed, Reason::Programmed, "published and readable by the proxies")
}

fn propagating(text: &str) -> Finding {
    Finding::is_unknown(ConditionType::Programmed, Reason::Propagating, text)
}

/// Status and reason of `Ready`, for the gauge of objects; `None` where the key is no user object or it is gone.
#[must_use]
pub fn ready_state(key: &Key, world: &World) -> Option<(String, String)> {
    let conditions = match key {
        Key::Bindings | Key::Service(_) | Key::Pod(_) => return None,
        Key::TrafficSplit(of) => {
            world.tenant(&of.namespace)?.traffic_splits.get(&of.name)?.status.as_ref().map(|status| &status.conditions)
        }
        Key::VirtualService(of) => world
            .tenant(&of.namespace)?
            .virtual_services
            .get(&of.name)?
            .status
            .as_ref()
            .map(|status| &status.conditions),
        Key::MeshPolicy(of) => {
            world.tenant(&of.namespace)?.mesh_policies.get(&of.name)?.status.as_ref().map(|status| &status.conditions)
        }
    };
    let ready = conditions.and_then(|conditions| ready(conditions));
    Some(ready.map_or_else(|| ("Unknown".into(), "OperatorBehind".into()), |c| (c.status.clone(), c.reason.clone())))
}

fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.as_str())
}
