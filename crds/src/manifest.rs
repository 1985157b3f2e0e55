//! The custom resource definitions as Kubernetes installs them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

/// First line of every generated file.
const HEADER: &str = "# Generated from crds/src by `cargo xtask crdgen`; do not edit.\n";

/// Every definition, in the order in which they are listed in documents.
pub fn all() -> Vec<CustomResourceDefinition> {
    let derived =
        [VirtualService::crd(), TrafficSplit::crd(), MeshPolicy::crd(), MeshService::crd(), MeshEndpoint::crd()];
    derived.into_iter().map(in_kubernetes_form).collect()
}

/// Name of the file that holds a definition, in the folder `crds/`: `virtualservices.yaml`.
pub fn file_name(crd: &CustomResourceDefinition) -> String {
    format!("{}.yaml", crd.spec.names.plural)
}

/// A definition as the text of its file. The same definition gives the same bytes.
pub fn render_yaml(crd: &CustomResourceDefinition) -> String {
    let body = serde_saphyr::to_string(crd).expect("a definition is plain data");
    format!("{HEADER}{body}")
}

/// Takes away `nullable`: the API server then drops a `null` a user wrote, so that to CEL, to the parser and to readers an absent
/// field has one form. Also the format `uint16`, which Kubernetes does not know and warns of; the range says the same.
fn in_kubernetes_form(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            let mut value = serde_json::to_value(&*schema).expect("a schema is plain data");
            strip(&mut value);
            *schema =
                serde_json::from_value::<JSONSchemaProps>(value).expect("a schema with fewer keywords is a schema");
        }
    }
    crd
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if map.get("format").is_some_and(|format| format == "uint16") {
                map.remove("format");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
