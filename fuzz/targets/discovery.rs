//! What the API server says: whatever its objects contain, calls go to endpoints that are one, each once, and what cannot be read changes
//! nothing.
#![no_main]

use serde_json::{Value, json};
use tulle_proxy::parsers::Cluster;

const NAMES: [&str; 3] = ["web", "api", "db"];
const KINDS: u8 = 5;
const SLICE: u8 = 1;
const VIRTUAL_SERVICE: u8 = 2;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut cluster = Cluster::default();
    // An object each: its kind and name by the first byte, then what stands in it.
    for (version, line) in input.split(|byte| *byte == b'\n').enumerate() {
        let Some((which, written)) = line.split_first() else { continue };
        let Ok(written @ Value::Object(_)) = serde_json::from_slice::<Value>(written) else { continue };
        let kind = which % KINDS;
        let (name, second) = (NAMES[usize::from(which / KINDS) % NAMES.len()], which / 64 % 2 == 1);
        let before = cluster.reached();
        let Some(complaints) = cluster.take(kind, object(kind, (name, second), version, written)) else { continue };
        cluster.publish();
        assert!(!cluster.publish(), "the same is news again");
        let reached = cluster.reached();
        for backend in &reached {
            let endpoints = &backend.endpoints;
            assert!(!endpoints.is_empty() && endpoints.is_sorted_by(|one, next| one < next), "{backend:?}");
            assert!(endpoints.iter().all(|one| one.is_ipv4() == endpoints[0].is_ipv4()), "both families: {backend:?}");
        }
        // Rules of a VirtualService are isolated one by one; of the others the last good version stays whole.
        if !complaints.is_empty() && kind != VIRTUAL_SERVICE {
            assert_eq!(reached, before, "{complaints:?}");
        }
    }
});

/// An object of a Service, or a second one of the same.
fn object(kind: u8, (service, second): (&str, bool), version: usize, written: Value) -> Value {
    let mut object = if kind == SLICE { written } else { json!({"spec": written}) };
    let name = if second { format!("{service}-2") } else { service.to_owned() };
    object["metadata"] = json!({
        "name": name,
        "namespace": "shop",
        "uid": name,
        "resourceVersion": (version + 1).to_string(),
        "generation": version,
        "labels": {"kubernetes.io/service-name": service},
    });
    object
}
