//! What users write: any JSON is an object or a sentence, and an object means the same after it was written and read again.
#![no_main]

use serde_json::Value;
use tulle_core::split::Split;
use tulle_crds::into_core::{Ctx, SpecError, parse_mesh_policy, parse_traffic_split, parse_virtual_service};
use tulle_crds::{MeshPolicy, TrafficSplit, VirtualService};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
    let context = Ctx::new("cluster.local");
    let object = |kind: &str| {
        serde_json::json!({
            "apiVersion": "tulle.dev/v1alpha1",
            "kind": kind,
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": value,
        })
    };
    if let Ok(split) = serde_json::from_value::<TrafficSplit>(object("TrafficSplit"))
        && let Some(read) = told(parse_traffic_split(&split, &context))
    {
        let draws =
            Split::new(read.backends.iter().map(|(service, weight)| (service, *weight))).expect("a positive sum");
        for draw in [0, u64::MAX / 2, u64::MAX] {
            let chosen = *draws.pick(draw);
            let weight = read.backends.iter().find(|(service, _)| service == chosen).expect("one of them").1;
            assert!(weight.0 > 0, "a weight of 0 was chosen");
        }
        assert!(read.backends.iter().all(|(service, _)| service.namespace == read.apex.namespace));
        let again = serde_json::from_value(serde_json::to_value(&split).expect("JSON")).expect("its own form");
        assert_eq!(parse_traffic_split(&again, &context), Ok(read));
    }
    if let Ok(service) = serde_json::from_value::<VirtualService>(object("VirtualService"))
        && let Some(read) = told(parse_virtual_service(&service, &context))
    {
        assert!(read.bytes.is_empty() || !read.hosts.is_empty(), "bytes of no host");
        let again = serde_json::from_value(serde_json::to_value(&service).expect("JSON")).expect("its own form");
        assert_eq!(parse_virtual_service(&again, &context), Ok(read));
    }
    if let Ok(policy) = serde_json::from_value::<MeshPolicy>(object("MeshPolicy"))
        && let Some(read) = told(parse_mesh_policy(&policy, &context))
    {
        assert!(!read.unreadable);
        let again = serde_json::from_value(serde_json::to_value(&policy).expect("JSON")).expect("its own form");
        assert_eq!(parse_mesh_policy(&again, &context), Ok(read));
    }
});

/// A mistake must name its place and a remedy.
fn told<T>(read: Result<T, SpecError>) -> Option<T> {
    if let Err(error) = &read {
        assert!(error.path.starts_with("spec"), "{error} has no place");
        assert!(!error.reason.is_empty() && !error.remedy.is_empty(), "{error} says too little");
    }
    read.ok()
}
