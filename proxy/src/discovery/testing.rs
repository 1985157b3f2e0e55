//! Objects as the API server sends them, for tests.

use serde_json::{Value, json};
use tulle_core::name::Namespace;

use super::object::{Kind, Object, Scope, decode};
use super::plan::Selection;
use super::store::{Change, Complaint, Store};

/// The namespace of every test.
pub(crate) const NS: &str = "shop";

/// A store of the test cluster.
pub(crate) fn store() -> Store {
    Store::new("cluster.local".into())
}

/// The scope of a kind in [`NS`].
pub(crate) fn scope(kind: Kind) -> Scope {
    Scope::new(&Namespace::from(NS), kind)
}

/// Decodes an object as the watch of this kind would.
pub(crate) fn object(kind: Kind, manifest: Value) -> Object {
    decode(kind, manifest).expect("a test object")
}

/// Lists a whole scope.
pub(crate) fn list(store: &mut Store, kind: Kind, manifests: Vec<Value>) -> Vec<Complaint> {
    let objects = manifests.into_iter().map(|manifest| object(kind, manifest)).collect();
    store.take(&scope(kind), Change::Listed(Selection::All, objects))
}

/// Applies one object.
pub(crate) fn apply(store: &mut Store, kind: Kind, manifest: Value) -> Vec<Complaint> {
    store.take(&scope(kind), Change::Applied(object(kind, manifest)))
}

/// Metadata of an object; the version grows by the caller.
pub(crate) fn meta(name: &str, version: u64) -> Value {
    json!({
        "name": name,
        "namespace": NS,
        "uid": format!("uid-{name}"),
        "resourceVersion": version.to_string(),
        "generation": version,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}}],
    })
}

/// A MeshService with port `http` 80 and the identity of a ServiceAccount of its own name.
pub(crate) fn service(name: &str, cluster_ip: &str, version: u64) -> Value {
    json!({
        "metadata": meta(name, version),
        "spec": {
            "clusterIPs": [cluster_ip],
            "ports": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            "identities": [format!("spiffe://cluster.local/ns/{NS}/sa/{name}")],
        },
        "status": {"meshed": "Yes"},
    })
}

/// An EndpointSlice of a Service: each address a ready pod on port 8080.
pub(crate) fn slice(service: &str, addresses: &[&str], version: u64) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": format!("{service}-{}", address.replace('.', "-"))},
            })
        })
        .collect();
    let mut metadata = meta(&format!("{service}-abcde"), version);
    metadata["labels"] = json!({"kubernetes.io/service-name": service});
    json!({
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// A TrafficSplit.
pub(crate) fn split(name: &str, apex: &str, shares: &[(&str, i64)], version: u64) -> Value {
    let backends: Vec<Value> =
        shares.iter().map(|(service, weight)| json!({"service": service, "weight": weight})).collect();
    json!({"metadata": meta(name, version), "spec": {"service": apex, "backends": backends}})
}

/// A VirtualService with these rules.
pub(crate) fn virtual_service(name: &str, host: &str, http: Value, version: u64) -> Value {
    json!({"metadata": meta(name, version), "spec": {"hosts": [host], "http": http}})
}
