//! What is kept of a test that failed: enough to find the cause without running it again.

use std::fs;
use std::path::Path;

use tulle_e2e::mesh::SYSTEM_NAMESPACE;
use tulle_e2e::{Kubectl, paths, pods};

use crate::context::Context;

/// Pods whose logs are kept; a rollout leaves few behind.
const PODS_MAX: usize = 20;

/// Saves objects, events and logs of the test's namespace and of the control plane. Best effort: the failure is the news.
pub(crate) fn save(context: &Context) {
    let folder = paths::repository().join("target/e2e").join(context.namespace());
    let _ = fs::remove_dir_all(&folder);
    if fs::create_dir_all(&folder).is_err() {
        return;
    }
    let system = context.cluster().kubectl().namespaced(SYSTEM_NAMESPACE);
    for (kubectl, prefix) in [(context.kubectl(), ""), (&system, "system-")] {
        let keep = |name: &str, arguments: &[&str]| {
            let text = kubectl.run(arguments.iter().copied()).unwrap_or_else(|error| format!("{error:#}"));
            let _ = fs::write(folder.join(format!("{prefix}{name}")), text);
        };
        keep("objects.txt", &["get", "all,mesh,meshservices,meshendpoints,endpointslices", "-o", "wide"]);
        keep("mesh.yaml", &["get", "mesh,meshservices,meshendpoints", "-o", "yaml"]);
        keep("pods.txt", &["describe", "pods"]);
        keep("events.txt", &["get", "events", "--sort-by=.lastTimestamp"]);
        save_logs(kubectl, &folder, prefix);
    }
    eprintln!("  objects, events and logs are in {}", folder.display());
}

fn save_logs(kubectl: &Kubectl, folder: &Path, prefix: &str) {
    let pods = kubectl.get("pods").unwrap_or_default();
    for pod in pods["items"].as_array().into_iter().flatten().take(PODS_MAX) {
        let name = pods::name(pod);
        for (option, suffix) in [("--previous=false", ""), ("--previous=true", ".previous")] {
            let arguments = ["logs", name, "--all-containers", "--prefix", "--timestamps", "--tail=2000", option];
            if let Ok(text) = kubectl.run(arguments) {
                let _ = fs::write(folder.join(format!("{prefix}{name}{suffix}.log")), text);
            }
        }
    }
}
