//! Helm with its configuration: no state outside the cluster but what the caller gives it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command;

/// A helm bound to one cluster.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// Uses `program` with `kubeconfig`; caches and plugins live below `home`, so a person's own Helm is left alone.
    pub fn new(program: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>, home: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), kubeconfig: kubeconfig.into(), home: home.into() }
    }

    /// The helm program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command to complete and run.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"));
        command
    }

    /// Runs helm with `arguments` and returns what it printed.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        command::run(self.command().args(arguments))
    }

    /// Installs or upgrades `release` from the chart folder and waits until it is ready; `arguments` are further options.
    pub fn upgrade(&self, release: &str, chart: &Path, namespace: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(["upgrade", "--install", release]).arg(chart);
        command.args(["--namespace", namespace, "--create-namespace", "--wait", "--timeout", "120s"]);
        command::run(command.args(arguments))
    }

    /// Uninstalls `release` and waits until its objects are gone.
    pub fn uninstall(&self, release: &str, namespace: &str) -> Result<String> {
        self.run(["uninstall", release, "--namespace", namespace, "--wait", "--timeout", "120s"])
    }
}
