//! Which workload a pod says it belongs to: a name for metrics, never an input of a security decision.

use super::pod::Pod;

/// `kind/name` of the workload that owns the pod, as far as the pod's own metadata tells: `deployment/web`,
/// `job/import`.
pub(super) fn workload(pod: Pod<'_>) -> String {
    let owners = pod.0["metadata"]["ownerReferences"].as_array();
    let controller = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    let Some(owner) = controller else {
        return format!("pod/{}", pod.name().trim_end_matches('-'));
    };
    let kind = owner["kind"].as_str().unwrap_or("").to_ascii_lowercase();
    let name = owner["name"].as_str().unwrap_or("");
    match kind.as_str() {
        "replicaset" => match deployment_of(name, pod.label("pod-template-hash")) {
            Some(deployment) => format!("deployment/{deployment}"),
            None => format!("replicaset/{name}"),
        },
        "job" => match cron_job_of(name) {
            Some(cron_job) => format!("cronjob/{cron_job}"),
            None => format!("job/{name}"),
        },
        _ => format!("{kind}/{name}"),
    }
}

/// A Deployment names its ReplicaSets `<deployment>-<pod-template-hash>`.
fn deployment_of<'a>(replica_set: &'a str, hash: Option<&str>) -> Option<&'a str> {
    replica_set.strip_suffix(hash?)?.strip_suffix('-')
}

/// A CronJob names its Jobs `<cronjob>-<minutes since 1970>`, eight digits until the year 2160. Without this each run
/// of a CronJob would be a new metric series.
fn cron_job_of(job: &str) -> Option<&str> {
    let (cron_job, minutes) = job.rsplit_once('-')?;
    let scheduled = minutes.len() == 8 && minutes.bytes().all(|byte| byte.is_ascii_digit());
    scheduled.then_some(cron_job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workload_is_named_after_the_controller() {
        let cases = [
            ("ReplicaSet", "web-5f7c9d", Some("5f7c9d"), "deployment/web"),
            ("ReplicaSet", "web-5f7c9d", None, "replicaset/web-5f7c9d"),
            ("StatefulSet", "db", None, "statefulset/db"),
            ("DaemonSet", "agent", None, "daemonset/agent"),
            ("Job", "import", None, "job/import"),
            ("Job", "import-2024", None, "job/import-2024"),
            ("Job", "backup-29391840", None, "cronjob/backup"),
            ("Rollout", "web", None, "rollout/web"),
        ];
        for (kind, name, hash, expected) in cases {
            let pod = json!({"metadata": {
                "labels": {"pod-template-hash": hash},
                "ownerReferences": [{"kind": "Node", "name": "n1"}, {"kind": kind, "name": name, "controller": true}],
            }});
            assert_eq!(workload(Pod(&pod)), expected, "{kind} {name}");
        }
    }

    #[test]
    fn a_pod_without_controller_is_its_own_workload() {
        let named = json!({"metadata": {"name": "debug"}});
        let generated = json!({"metadata": {"generateName": "debug-"}});
        assert_eq!(workload(Pod(&named)), "pod/debug");
        assert_eq!(workload(Pod(&generated)), "pod/debug");
    }
}
