//! The custom resource definitions as Kubernetes installs them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{MeshEndpoint, MeshPolicy, MeshService, TrafficSplit, VirtualService};

/// Every definition, in the order in which they are listed in documents.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![VirtualService::crd(), TrafficSplit::crd(), MeshPolicy::crd(), MeshService::crd(), MeshEndpoint::crd()]
}

/// A definition as YAML.
pub fn render_yaml(_crd: &CustomResourceDefinition) -> String {
    String::new()
}
