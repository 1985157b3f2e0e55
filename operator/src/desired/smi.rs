//! What a TrafficSplit of the Service Mesh Interface says, in our own kind: the same name, owned by it, so that it ends with it.

use kube::ResourceExt;
use kube::api::ObjectMeta;
use serde_json::Value;
use tulle_crds::labels::{MANAGED_BY, MANAGED_BY_LABEL};
use tulle_crds::smi::{SmiBackend, SmiCondition, SmiRouteGroupSpec, SmiTrafficSplit};
use tulle_crds::traffic_split::{Backend, SplitMatch};
use tulle_crds::{TrafficSplit, TrafficSplitSpec};

use super::{managed, owner};

/// API version under which the owner is named.
const API_VERSION: &str = "split.smi-spec.io/v1alpha4";

/// The TrafficSplit to write. `group` finds an HTTPRouteGroup of the namespace.
///
/// # Errors
/// Why it cannot be said: field and reason.
pub fn translate<'a>(
    written: &SmiTrafficSplit,
    group: impl Fn(&str) -> Option<&'a SmiRouteGroupSpec>,
) -> Result<TrafficSplit, String> {
    let weights = weights(&written.spec.backends)?;
    let backends = written.spec.backends.iter().zip(weights).map(|(backend, weight)| Backend {
        service: backend.service.clone(),
        weight,
        ..Backend::default()
    });
    let mut matches = Vec::new();
    for (index, reference) in written.spec.matches.iter().enumerate() {
        let place = format!("spec.matches[{index}]");
        if reference.kind != "HTTPRouteGroup" {
            return Err(format!("{place}.kind: {:?} is no HTTPRouteGroup", reference.kind));
        }
        let found = group(&reference.name)
            .ok_or_else(|| format!("{place}.name: HTTPRouteGroup {} does not exist", reference.name))?;
        if found.matches.is_empty() {
            return Err(format!("{place}.name: HTTPRouteGroup {} has no condition", reference.name));
        }
        matches.extend(found.matches.iter().map(condition));
    }
    let (name, uid) = (written.name_any(), written.uid().unwrap_or_default());
    Ok(TrafficSplit {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: written.namespace(),
            labels: Some(managed([])),
            owner_references: Some(vec![owner(API_VERSION, "TrafficSplit", &name, &uid)]),
            ..ObjectMeta::default()
        },
        spec: TrafficSplitSpec {
            service: written.spec.service.clone(),
            backends: backends.collect(),
            matches,
            ..TrafficSplitSpec::default()
        },
        status: None,
    })
}

/// Whether an object of the cluster was written by [`translate`]: any other is its author's.
#[must_use]
pub fn is_ours(found: &TrafficSplit) -> bool {
    let owned = found.owner_references().iter().any(|owner| owner.api_version == API_VERSION);
    owned && found.labels().get(MANAGED_BY_LABEL).is_some_and(|manager| manager == MANAGED_BY)
}

fn condition(written: &SmiCondition) -> SplitMatch {
    SplitMatch {
        name: written.name.clone(),
        path_regex: written.path_regex.clone().filter(|pattern| !pattern.is_empty()),
        methods: written.methods.clone(),
        // Names of headers have no case.
        headers: written.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        ..SplitMatch::default()
    }
}

/// Whole numbers as they are; where any is a fraction, all in thousandths.
fn weights(backends: &[SmiBackend]) -> Result<Vec<i64>, String> {
    let read = |(index, backend): (usize, &SmiBackend)| {
        thousandths(&backend.weight).ok_or_else(|| {
            format!(
                "spec.backends[{index}].weight: {} is no weight; write a whole number, or a quantity such as 500m",
                backend.weight
            )
        })
    };
    let all = backends.iter().enumerate().map(read).collect::<Result<Vec<i64>, String>>()?;
    let whole = all.iter().all(|weight| weight % 1000 == 0);
    Ok(all.into_iter().map(|weight| if whole { weight / 1000 } else { weight }).collect())
}

/// A weight in thousandths: a number, or a quantity of the forms `2`, `0.5` and `500m`.
fn thousandths(weight: &Value) -> Option<i64> {
    let number = |text: &str| -> Option<i64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits)
    };
    match weight {
        Value::Number(number) => number.as_i64().filter(|weight| *weight >= 0)?.checked_mul(1000),
        Value::String(text) => match (text.strip_suffix('m'), text.split_once('.')) {
            (Some(thousandths), _) => number(thousandths),
            (None, Some((whole, places))) if (1..=3).contains(&places.len()) => {
                let places = number(&format!("{places:0<3}"))?;
                number(whole)?.checked_mul(1000)?.checked_add(places)
            }
            (None, Some(_)) => None,
            (None, None) => number(text)?.checked_mul(1000),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests;
