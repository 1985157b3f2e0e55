//! Which labels the pods behind a Service have, said once for all that a controller made alike.
//!
//! Pods of one ReplicaSet are named `web-7d9f8c-` and five letters, and have the labels of its template. So `web-7d9f8c-*` stands for
//! all of them, those to come included, and a pod that was labelled by hand stands beside it under its own name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tulle_core::route::subset::{POD_INDEX_LABEL, POD_NAME_LABEL};

use crate::labels::UNPUBLISHED_LABEL;

/// Entries of a Service: Deployments have one for each ReplicaSet that has pods.
pub(super) const ENTRIES_MAX: usize = 1024;
/// Labels of a pod. Templates have about ten.
const LABELS_MAX: usize = 64;
/// Names, keys and values of all entries together: an eighth of what the API server takes for an object.
const BYTES_MAX: usize = 192 * 1024;

/// Pods with the same labels.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Name of a pod, or what precedes the last `-` in the names of several and `-*`. A name comes before a pattern that covers it.
    #[schemars(length(max = 255))]
    #[serde(default)]
    pub pods: String,

    /// Labels these pods have, without those that the pod's name tells and `controller-revision-hash`.
    #[schemars(extend("maxProperties" = LABELS_MAX))]
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The labels of a pod, where a sorted list of workloads says them.
#[must_use]
pub fn labels_of<'a>(workloads: &'a [Workload], pod: &str) -> Option<&'a BTreeMap<String, String>> {
    let find = |name: &str| workloads.binary_search_by(|workload| workload.pods.as_str().cmp(name)).ok();
    let found = find(pod).or_else(|| find(&pattern(stem(pod)?)))?;
    Some(&workloads[found].labels)
}

/// The shortest list that says the labels of all these pods, sorted. The labels that most pods of a pattern have stand for it, and of
/// those that as many have the first in order; so the same pods give the same list. What is beyond the bounds is left out, patterns
/// first: a pod whose own entry is missing must not be taken for one of the others.
#[must_use]
pub fn workloads<'a>(pods: impl IntoIterator<Item = (&'a str, &'a BTreeMap<String, String>)>) -> Vec<Workload> {
    let mut alike: BTreeMap<&str, BTreeMap<Labels<'_>, Vec<&str>>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (pod, labels) in pods {
        match stem(pod) {
            Some(stem) => alike.entry(stem).or_default().entry(published(labels)).or_default().push(pod),
            None => alone.push((pod.to_owned(), published(labels))),
        }
    }
    let mut patterns = Vec::new();
    for (stem, groups) in alike {
        let most = groups.values().map(Vec::len).max().unwrap_or_default();
        let mut stands = Some(pattern(stem));
        for (labels, pods) in groups {
            match stands.take_if(|_| pods.len() == most) {
                Some(pattern) => patterns.push((pattern, labels)),
                None => alone.extend(pods.into_iter().map(|pod| (pod.to_owned(), labels.clone()))),
            }
        }
    }
    let mut bytes = 0;
    let within = alone.into_iter().chain(patterns).take(ENTRIES_MAX).take_while(|(pods, labels)| {
        bytes += pods.len() + labels.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        bytes <= BYTES_MAX
    });
    let mut list: Vec<_> = within.map(|(pods, labels)| Workload { pods, labels: owned(labels) }).collect();
    list.sort_by(|one, other| one.pods.cmp(&other.pods));
    list
}

type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// What the names of a controller's pods have in common.
fn stem(pod: &str) -> Option<&str> {
    pod.rsplit_once('-').map(|(stem, _)| stem)
}

fn pattern(stem: &str) -> String {
    format!("{stem}-*")
}

fn published(labels: &BTreeMap<String, String>) -> Labels<'_> {
    let differs = |key: &str| [POD_NAME_LABEL, POD_INDEX_LABEL, UNPUBLISHED_LABEL].contains(&key);
    let kept = labels.iter().filter(|(key, _)| !differs(key));
    kept.map(|(key, value)| (key.as_str(), value.as_str())).take(LABELS_MAX).collect()
}

fn owned(labels: Labels<'_>) -> BTreeMap<String, String> {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests;
