//! The mesh as a user gets it: images loaded, chart installed with Helm.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::helm::Helm;
use crate::images::{MeshImages, TAG};
use crate::paths;
use crate::pods;

/// Namespace of the control plane.
pub const SYSTEM_NAMESPACE: &str = "tulle-system";
/// Name of the release.
pub const RELEASE: &str = "tulle";
/// Label that asks for sidecars, and its value.
pub const INJECT: (&str, &str) = ("tulle.dev/inject", "enabled");
/// Name of the sidecar.
pub const PROXY: &str = "tulle-proxy";
/// Port of the sidecar's metrics and health.
pub const HEALTH_PORT: u16 = 15020;

/// Where the chart is.
pub fn chart() -> PathBuf {
    paths::repository().join("charts/tulle")
}

/// Loads the mesh's images into every node.
pub fn load_images(cluster: &Cluster, images: &MeshImages) -> Result<()> {
    images.images.iter().try_for_each(|image| cluster.load_image(&image.archive))
}

/// Values that fit one of our clusters: images from this clone, and the networks the cluster has.
pub fn values(cluster: &Cluster) -> Vec<String> {
    let plan = cluster.addresses();
    let networks = [plan.all_pods(), plan.services(), plan.all_pods6(), plan.services6()].join(",");
    vec![
        "image.registry=localhost".to_owned(),
        format!("image.tag={TAG}"),
        format!("proxy.clusterNetworks={{{networks}}}"),
        "smi.enabled=true".to_owned(),
    ]
}

/// Installs the chart, or upgrades it, and waits until it is ready. `values` are `key=value` pairs.
pub fn install(helm: &Helm, values: &[String]) -> Result<String> {
    let arguments: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    helm.upgrade(RELEASE, &chart(), SYSTEM_NAMESPACE, &arguments).context("the mesh cannot be installed")
}

/// Resident memory of every process of the mesh in MiB, by program; the largest where several run.
pub fn resident_mib(cluster: &Cluster) -> Result<BTreeMap<String, f64>> {
    let mut largest = BTreeMap::new();
    for node in cluster.nodes() {
        for pid in node.pod_pids("")? {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let Some(mib) = resident_of(pid).filter(|_| name.starts_with("tulle-")) else { continue };
            let entry = largest.entry(name.trim().to_owned()).or_insert(mib);
            *entry = entry.max(mib);
        }
    }
    Ok(largest)
}

/// `VmRSS` of a process in MiB (proc_pid_status(5)).
fn resident_of(pid: i32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Whether the pod carries a proxy.
pub fn is_meshed(pod: &Value) -> bool {
    pod["metadata"]["labels"]["tulle.dev/injected"] == "true"
}

/// Pods of a component of the control plane, `operator` or `webhook`.
pub fn control_plane(cluster: &Cluster, component: &str) -> Result<Vec<Value>> {
    let kubectl = cluster.kubectl().namespaced(SYSTEM_NAMESPACE);
    pods::list(&kubectl, &format!("app.kubernetes.io/component={component}"))
}
