//! (shell) Tulle's control plane without kubelets: etcd, the API server and the operator, in the hub.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tulle_core::sidecar::{ISSUER_PORT, env};

use super::certificates::{self, Authority, Subject};
use super::{HUB, SERVICES};
use crate::components::KUBERNETES;
use crate::progress::Step;
use crate::rooms::{Program, Room, process};
use crate::{Kubectl, paths, wait};

/// Namespace of the operator.
pub const SYSTEM: &str = "tulle-system";
/// Port of the API server.
pub const API_PORT: u16 = 6443;
/// Where the API server finds its store.
const ETCD: &str = "http://127.0.0.1:2379";
/// A cold start takes 10 s on two busy cores.
const DEADLINE: Duration = Duration::from_secs(120);

/// See the module.
pub struct ControlPlane {
    hub: Room,
    kubectl: Kubectl,
    /// Root of the API server's certificate, PEM.
    pub root: String,
    programs: Vec<Program>,
}

impl ControlPlane {
    /// Starts everything and waits until the operator signs certificates.
    pub fn up(hub: &Room, folder: &Path, operator: &Path) -> Result<Self> {
        let tools = KUBERNETES.ensure()?;
        let step = Step::start("starting etcd, API server and operator", Some(Duration::from_secs(15)));
        let authority = keys(&folder.join("pki"))?;
        let start = |name: &str, command| Program::start(hub, &folder.join("log"), name, command, None);
        let mut etcd = Command::new(tools.join("etcd"));
        etcd.args(["--data-dir".into(), folder.join("etcd").display().to_string()]).args(ETCD_FLAGS);
        let mut api = Command::new(tools.join("kube-apiserver"));
        api.args(api_server_flags(&authority));
        let programs = vec![start("etcd", etcd)?, start("kube-apiserver", api)?];
        let kubeconfig = write_kubeconfig(folder, &authority)?;
        let kubectl = Kubectl::new(tools.join("kubectl"), kubeconfig);
        let root = fs::read_to_string(authority.path("ca.crt"))?;
        let mut plane = Self { hub: hub.clone(), kubectl, root, programs };
        plane.wait_for_api()?;
        plane.install()?;
        let mut run = Command::new(operator);
        run.arg("run").env("KUBECONFIG", plane.kubectl.kubeconfig()).env(env::POD_NAME, "operator");
        plane.programs.push(start("tulle-operator", run)?);
        plane.wait_for_issuer()?;
        step.done();
        Ok(plane)
    }

    /// kubectl where it reaches the API server.
    pub fn kubectl<T: Send>(&self, work: impl FnOnce(&Kubectl) -> Result<T> + Send) -> Result<T> {
        self.hub.run(|| work(&self.kubectl))
    }

    /// Stops the control plane's processes, or lets them go on: nothing of it is part of a measurement.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        self.programs.iter().for_each(|program| process::signal(program.pid(), signal));
    }

    /// Fails when a part of it has ended.
    fn check(&mut self) -> Result<()> {
        self.programs.iter_mut().try_for_each(Program::check)
    }

    fn wait_for_api(&mut self) -> Result<()> {
        wait::until(DEADLINE, "the API server to be ready", || {
            self.check()?;
            self.hub.run(|| {
                TcpStream::connect((HUB, API_PORT)).context("it does not listen yet")?;
                self.kubectl.run(["get", "--raw", "/readyz"]).map(Some)
            })
        })
        .map(drop)
    }

    /// Kinds, the operator's namespace, and the roles of proxies as the chart has them.
    fn install(&self) -> Result<()> {
        let repository = paths::repository();
        let mut manifests = String::new();
        for entry in fs::read_dir(repository.join("crds")).context("cannot read crds/")? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            manifests += &format!("---\n{}\n", fs::read_to_string(&path)?);
        }
        let roles = fs::read_to_string(repository.join("charts/tulle/templates/rbac/proxy.yaml"))
            .context("the chart has no roles of proxies")?;
        manifests += &format!("---\n{}", without_templates(&roles));
        self.kubectl(|kubectl| {
            kubectl.namespace(SYSTEM, &[])?;
            kubectl.apply(&manifests).context("cannot install the mesh's kinds and roles")
        })?;
        self.kubectl(|kubectl| {
            kubectl.wait("condition=Established", "crd --all", DEADLINE).context("the mesh's kinds are not served")
        })
    }

    fn wait_for_issuer(&mut self) -> Result<()> {
        wait::until(DEADLINE, "the operator to issue certificates", || {
            self.check()?;
            self.kubectl(|kubectl| {
                kubectl.namespaced(SYSTEM).get("configmap/tulle-trust-bundle")?;
                TcpStream::connect((HUB, ISSUER_PORT)).context("it does not listen yet")?;
                Ok(Some(()))
            })
        })
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.freeze(false);
    }
}

/// Without fsync: a crash of the machine loses this cluster, which is no loss.
const ETCD_FLAGS: [&str; 4] = [
    "--unsafe-no-fsync=true",
    "--listen-client-urls=http://127.0.0.1:2379",
    "--advertise-client-urls=http://127.0.0.1:2379",
    "--log-level=warn",
];

fn api_server_flags(authority: &Authority) -> Vec<String> {
    let path = |file: &str| authority.path(file);
    [
        ("etcd-servers", ETCD.to_owned()),
        ("advertise-address", HUB.to_string()),
        ("secure-port", API_PORT.to_string()),
        ("tls-cert-file", path("api.crt")),
        ("tls-private-key-file", path("api.key")),
        ("client-ca-file", path("ca.crt")),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-account-key-file", path("tokens.pub")),
        ("service-account-signing-key-file", path("tokens.key")),
        ("service-cluster-ip-range", SERVICES.to_owned()),
        ("authorization-mode", "RBAC".to_owned()),
    ]
    .map(|(name, value)| format!("--{name}={value}"))
    .into()
}

fn keys(folder: &Path) -> Result<Authority> {
    let authority = Authority::new(folder, "bare")?;
    certificates::write_key_pair(folder, "tokens")?;
    let addresses = [HUB.into(), [127, 0, 0, 1].into()];
    authority.issue(&Subject { file: "api", common_name: "api", addresses: &addresses, ..Subject::default() })?;
    let group = Some("system:masters");
    authority.issue(&Subject { file: "admin", common_name: "admin", group, ..Subject::default() })?;
    Ok(authority)
}

fn write_kubeconfig(folder: &Path, authority: &Authority) -> Result<PathBuf> {
    let file = |name: &str| authority.path(name);
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bare",
        "clusters": [{"name": "bare", "cluster": {
            "server": format!("https://{HUB}:{API_PORT}"), "certificate-authority": file("ca.crt"),
        }}],
        "users": [{"name": "admin", "user": {"client-certificate": file("admin.crt"), "client-key": file("admin.key")}}],
        "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "admin"}}],
    });
    let path = folder.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string()).context("cannot write a kubeconfig")?;
    Ok(path)
}

/// A template of the chart as a manifest: labels are left out, and the release is where we put it.
fn without_templates(template: &str) -> String {
    let lines = template.lines().filter(|line| !line.contains("{{- include"));
    lines.map(|line| format!("{}\n", line.replace("{{ .Release.Namespace }}", SYSTEM))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_roles_become_plain_manifests() {
        let path = paths::repository().join("charts/tulle/templates/rbac/proxy.yaml");
        let roles = without_templates(&fs::read_to_string(path).expect("the chart"));
        assert!(!roles.contains("{{") && roles.contains("namespace: tulle-system"), "{roles}");
        assert!(roles.contains("kind: ClusterRole\n") && roles.contains("name: tulle-proxy-trust-bundle"), "{roles}");
    }
}
