//! Whether a pod gets a sidecar: the decision, apart from all I/O.

pub mod patch;
pub mod pod;
pub mod probes;
mod quantity;
pub mod refusal;
pub mod settings;
pub mod sidecar;
mod workload;

use json_patch::Patch;
use pod::Pod;
use refusal::Refusal;
use serde_json::Value;
use settings::Settings;
use tulle_core::sidecar::{PROXY_CONTAINER, REDIRECT_CONTAINER};
use tulle_crds::labels::{INJECT_DISABLED, INJECT_ENABLED, INJECT_LABEL};

/// Which selector of the webhook configuration brought the pod here.
///
/// The API server reads the namespace's labels before it calls, and calls another path for each case. The webhook
/// therefore needs no watch on namespaces, and cannot be behind: a pod created right after its namespace was labelled
/// is judged by the new label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who opted in.
    pub opt_in: OptIn,
    /// Whether the namespace enforces a Pod Security level that refuses `NET_ADMIN`.
    pub confined: bool,
}

/// Who asked for the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// The namespace carries `tulle.dev/inject: enabled`.
    Namespace,
    /// The namespace does not; a pod may ask for itself.
    Pod,
}

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It gets the sidecar.
    Inject {
        /// What to change.
        patch: Patch,
        /// What the user should know.
        warnings: Vec<String>,
    },
    /// It starts as it is, outside the mesh.
    Skip(Skip),
    /// It carries the sidecar already.
    AlreadyInjected,
    /// It does not start.
    Refuse(Refusal),
}

/// Why a pod stays outside the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The pod says `tulle.dev/inject: disabled`.
    OptedOut,
    /// Neither pod nor namespace asked for a sidecar.
    NotOptedIn,
    /// The namespace belongs to the cluster or to the control plane.
    ExcludedNamespace,
}

impl Skip {
    /// The reason as a word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Skip::OptedOut => "opted-out",
            Skip::NotOptedIn => "not-opted-in",
            Skip::ExcludedNamespace => "excluded-namespace",
        }
    }
}

/// Decides about one pod of `namespace`.
pub fn decide(pod: &Value, namespace: &str, origin: Origin, settings: &Settings) -> Decision {
    let pod = Pod(pod);
    if settings.excludes(namespace) {
        return Decision::Skip(Skip::ExcludedNamespace);
    }
    if let Some(skip) = not_wanted(pod, origin.opt_in) {
        return Decision::Skip(skip);
    }
    if is_injected(pod) {
        return Decision::AlreadyInjected;
    }
    match inject(pod, origin, settings) {
        Ok(decision) => decision,
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// The pod's own label is closer than the namespace's, so it wins both ways. A value that is neither word is no
/// opinion.
fn not_wanted(pod: Pod<'_>, opt_in: OptIn) -> Option<Skip> {
    match (pod.label(INJECT_LABEL), opt_in) {
        (Some(INJECT_DISABLED), _) => Some(Skip::OptedOut),
        (Some(INJECT_ENABLED), _) | (_, OptIn::Namespace) => None,
        (_, OptIn::Pod) => Some(Skip::NotOptedIn),
    }
}

/// Judged by the containers. The label alone proves nothing: a template may carry it by mistake and would then start
/// unmeshed.
fn is_injected(pod: Pod<'_>) -> bool {
    let has = |name| pod.containers().any(|container| container.list == "initContainers" && container.name() == name);
    has(REDIRECT_CONTAINER) && has(PROXY_CONTAINER)
}

fn inject(pod: Pod<'_>, origin: Origin, settings: &Settings) -> Result<Decision, Refusal> {
    if let Some(refusal) = refusal::obstacle(pod, origin) {
        return Err(refusal);
    }
    let sidecar = settings.defaults.clone().overridden_by(pod)?;
    Ok(Decision::Inject { patch: patch::patch(pod, settings, &sidecar), warnings: probes::warnings(pod).collect() })
}

#[cfg(test)]
mod tests;
