//! The injection as a JSON patch (RFC 6902): a list of additions, so that everything else in the pod stays as the user
//! wrote it.

use super::pod::Pod;
use super::probes::{self, Rewrite};
use super::settings::{Settings, Sidecar};
use super::sidecar;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::{Value, json};
use tulle_crds::labels;

/// Names the container `kubectl logs` and `kubectl exec` mean, without which they would choose the proxy.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The patch that puts the sidecar into a pod which has none.
pub fn patch(pod: Pod<'_>, settings: &Settings, sidecar: &Sidecar) -> Patch {
    let (rewrites, table) = probes::rewrite(pod);
    let containers =
        [sidecar::redirect_container(settings, sidecar), sidecar::proxy_container(pod, settings, sidecar, &table)];
    let operations = probes_rewritten(rewrites)
        .chain(prepended(pod, "initContainers", containers))
        .chain(appended(pod, "volumes", sidecar::volumes()))
        .chain(metadata(pod, "labels", [(labels::INJECTED_LABEL, json!(labels::INJECTED_VALUE))]))
        .chain(metadata(pod, "annotations", annotations(pod)));
    Patch(operations.collect())
}

/// First, because inserting init containers moves the indexes of the pod's own.
fn probes_rewritten(rewrites: Vec<Rewrite>) -> impl Iterator<Item = PatchOperation> {
    rewrites.into_iter().map(|rewrite| {
        let path = PointerBuf::from_tokens(rewrite.tokens);
        PatchOperation::Replace(ReplaceOperation { path, value: rewrite.replacement })
    })
}

fn annotations(pod: Pod<'_>) -> Vec<(&'static str, Value)> {
    let mut annotations = vec![(labels::INJECTOR_VERSION, json!(env!("CARGO_PKG_VERSION")))];
    let first = pod.containers().find(|container| container.list == "containers");
    if let (Some(first), None) = (first, pod.annotation(DEFAULT_CONTAINER)) {
        annotations.push((DEFAULT_CONTAINER, json!(first.name())));
    }
    annotations
}

/// Entries of a map of the metadata; the map is made where it is missing.
fn metadata(
    pod: Pod<'_>,
    map: &'static str,
    entries: impl IntoIterator<Item = (&'static str, Value)>,
) -> impl Iterator<Item = PatchOperation> {
    let missing = !pod.0["metadata"][map].is_object();
    let made = missing.then(|| add(["metadata", map], json!({})));
    let added = entries.into_iter().map(move |(key, value)| add(["metadata", map, key], value));
    made.into_iter().chain(added)
}

/// Elements in front of a list of the spec, in their order.
fn prepended<const N: usize>(pod: Pod<'_>, list: &'static str, values: [Value; N]) -> Vec<PatchOperation> {
    if pod.spec(list).as_array().is_none() {
        return vec![add(["spec", list], json!(values.to_vec()))];
    }
    values.into_iter().enumerate().map(|(index, value)| add(["spec", list, &index.to_string()], value)).collect()
}

/// Elements behind a list of the spec.
fn appended<const N: usize>(pod: Pod<'_>, list: &'static str, values: [Value; N]) -> Vec<PatchOperation> {
    if pod.spec(list).as_array().is_none() {
        return vec![add(["spec", list], json!(values.to_vec()))];
    }
    values.into_iter().map(|value| add(["spec", list, "-"], value)).collect()
}

fn add<const N: usize>(tokens: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(tokens), value })
}
