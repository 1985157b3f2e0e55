//! kubectl with its configuration and errors that say what was asked of which namespace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// Limit of one request to the API server, so that a stopped server fails a test instead of hanging it.
const REQUEST_TIMEOUT: &str = "--request-timeout=30s";

/// A kubectl bound to one cluster, and optionally to one namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: Option<String>,
}

impl Kubectl {
    /// Uses `program` with `kubeconfig`.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into(), namespace: None }
    }

    /// The same kubectl for one namespace.
    pub fn namespaced(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The configuration file, for programs that talk to the cluster themselves.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubectl program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command to complete and run, for what the methods below do not cover (long-running port-forwards, say).
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command
    }

    /// Runs kubectl with `arguments` and returns what it printed.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        command::run(self.command().arg(REQUEST_TIMEOUT).args(arguments))
    }

    /// Applies manifests (YAML or JSON documents) on the server side; conflicts with other managers are ours to win.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let arguments = [REQUEST_TIMEOUT, "apply", "--server-side", "--force-conflicts", "-f", "-"];
        command::run_with_input(self.command().args(arguments), manifests)
    }

    /// Applies the status of objects, as a kubelet would.
    pub fn apply_status(&self, manifests: &str) -> Result<String> {
        let arguments =
            [REQUEST_TIMEOUT, "apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-"];
        command::run_with_input(self.command().args(arguments), manifests)
    }

    /// Applies without forcing and returns the error the server gave, for tests of refusals.
    pub fn refused(&self, manifests: &str) -> Result<String> {
        match command::run_with_input(
            self.command().args([REQUEST_TIMEOUT, "apply", "--server-side", "-f", "-"]),
            manifests,
        ) {
            Ok(output) => anyhow::bail!("was accepted, but a refusal was expected: {}", output.trim()),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// Creates a namespace with labels (`key=value`), or updates it.
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<Self> {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        self.apply(&namespace.to_string())?;
        Ok(self.namespaced(name))
    }

    /// Gets one object as JSON, e.g. `get("deployment/web")`; a list with `get("pods")`.
    pub fn get(&self, what: &str) -> Result<Value> {
        self.get_with(&[what])
    }

    /// Gets as JSON with options, e.g. `get_with(&["pods", "-l", "app=web"])`.
    pub fn get_with(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(["get", "-o", "json"].into_iter().chain(arguments.iter().copied()))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl get {arguments:?} did not answer with JSON"))
    }

    /// Waits for `condition` (`condition=Ready`, `jsonpath={…}=…`, `delete`) of `what` (`pod/web`, `pods -l app=web`).
    pub fn wait(&self, condition: &str, what: &str, deadline: Duration) -> Result<()> {
        let mut command = self.command();
        command.args(["wait", "--for", condition, "--timeout", &format!("{}s", deadline.as_secs())]);
        command::run(command.args(what.split_whitespace())).map(drop)
    }

    /// Waits until a Deployment, StatefulSet or DaemonSet (`deployment/web`) has rolled out.
    pub fn rolled_out(&self, what: &str, deadline: Duration) -> Result<()> {
        let timeout = format!("{}s", deadline.as_secs());
        command::run(self.command().args(["rollout", "status", what, "--timeout", &timeout])).map(drop)
    }

    /// Deletes `what` (`deployment/web`) if it is there, and waits until it is gone.
    pub fn delete(&self, what: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["delete", "--ignore-not-found", "--timeout=120s"]);
        command::run(command.args(what.split_whitespace())).map(drop)
    }

    /// The log of one container of a pod or workload (`deployment/web`).
    pub fn logs(&self, what: &str, container: &str) -> Result<String> {
        self.run(["logs", what, "--container", container, "--tail=-1"])
    }

    /// Runs a program in a container and returns its standard output.
    pub fn exec(&self, pod: &str, container: &str, program: &[&str]) -> Result<String> {
        command::run(self.command().args(["exec", pod, "--container", container, "--"]).args(program))
    }
}
