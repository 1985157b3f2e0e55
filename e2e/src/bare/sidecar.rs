//! (shell) A sidecar as a process: the files and variables that a kubelet and the webhook would give it, and its redirect.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tulle_core::sidecar::{
    API_DIR, HEALTH_PORT, IDENTITY_AUDIENCE, IDENTITY_DIR, ISSUER_PORT, POD_DIR, PROXY_UID, env,
};

use super::control_plane::{API_PORT, ControlPlane, SYSTEM};
use super::{CLUSTER_NETWORKS, HUB, Workload};
use crate::http::{self, Machine, Request};
use crate::rooms::{Cpus, Program, Room};
use crate::{command, wait};

/// Longer than any run: there is no kubelet to renew a token.
const TOKEN_LIFE: &str = "4h";
/// Certificates are issued in milliseconds; a busy machine may take seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// A sidecar to start.
#[derive(Clone, Copy)]
pub struct Sidecar<'a> {
    /// Its control plane.
    pub plane: &'a ControlPlane,
    /// Namespace of its pod.
    pub namespace: &'a str,
    /// Its pod.
    pub pod: &'a Workload,
    /// `tulle-proxy`.
    pub program: &'a Path,
    /// What it sees as its root; made here.
    pub root: &'a Path,
    /// Variables beyond, or instead of, those every sidecar has.
    pub variables: &'a [(&'static str, String)],
}

impl Sidecar<'_> {
    /// Starts it in `room`, on these CPUs; its log is `<folder>/<name>.log`.
    pub fn start(&self, room: &Room, folder: &Path, name: &str, cpus: Option<&Cpus>) -> Result<Program> {
        self.prepare_root().with_context(|| format!("cannot make the files of {}", self.pod.name))?;
        mount_proc(room, self.root)?;
        let mut proxy = room.among_mounts("chroot");
        proxy.arg(format!("--userspec={PROXY_UID}:{PROXY_UID}")).arg(self.root).args(["/tulle-proxy", "run"]);
        proxy.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        proxy.envs(self.environment()).envs(self.variables.iter().cloned());
        Program::start(room, folder, name, proxy, cpus)
    }

    /// What the webhook would write.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let (text, name) = (str::to_owned, &self.pod.name);
        let addresses: Vec<String> = self.pod.addresses.iter().map(IpAddr::to_string).collect();
        vec![
            (env::POD_NAME, name.clone()),
            (env::POD_NAMESPACE, text(self.namespace)),
            (env::POD_IPS, addresses.join(",")),
            (env::SERVICE_ACCOUNT, name.clone()),
            (env::WORKLOAD, format!("deployment/{name}")),
            (env::SYSTEM_NAMESPACE, text(SYSTEM)),
            (env::TRUST_DOMAIN, text("cluster.local")),
            (env::ISSUER, format!("{HUB}:{ISSUER_PORT}")),
            (env::DEFAULT_MTLS, text("STRICT")),
            (env::LOG, text("info")),
            (env::ACCESS_LOG, text("off")),
            (env::CLUSTER_NETWORKS, text(CLUSTER_NETWORKS)),
            ("KUBERNETES_SERVICE_HOST", HUB.to_string()),
            ("KUBERNETES_SERVICE_PORT", API_PORT.to_string()),
        ]
    }

    /// The program, the pod's tokens and its labels, as one folder.
    fn prepare_root(&self) -> Result<()> {
        let (api, identity) = self.tokens()?;
        let write = |directory: &str, file: &str, text: &str| {
            let directory = self.root.join(directory.trim_start_matches('/'));
            fs::create_dir_all(&directory)?;
            fs::write(directory.join(file), text)
        };
        write(API_DIR, "token", api.trim())?;
        write(API_DIR, "ca.crt", &self.plane.root)?;
        write(IDENTITY_DIR, "token", identity.trim())?;
        write(POD_DIR, "labels", &format!("app=\"{}\"\n", self.pod.app))?;
        fs::create_dir_all(self.root.join("proc"))?;
        let copy = self.root.join("tulle-proxy");
        // One file for all, as on a node: its pages are then shared.
        if fs::hard_link(self.program, &copy).is_err() {
            fs::copy(self.program, &copy).with_context(|| format!("cannot copy {}", self.program.display()))?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// For the API server, and for the issuer.
    fn tokens(&self) -> Result<(String, String)> {
        let name = self.pod.name.as_str();
        self.plane.kubectl(|kubectl| {
            let kubectl = kubectl.namespaced(self.namespace);
            let pod = kubectl.get(&format!("pod/{name}"))?;
            let uid = pod["metadata"]["uid"].as_str().context("a pod without uid")?;
            let bound = ["--bound-object-kind=Pod", "--duration", TOKEN_LIFE];
            let bound_to = [format!("--bound-object-name={name}"), format!("--bound-object-uid={uid}")];
            let token = |audience: &[&str]| {
                let bound_to = bound_to.iter().map(String::as_str);
                let arguments = ["create", "token", name].into_iter().chain(bound).chain(bound_to);
                kubectl.run(arguments.chain(audience.iter().copied()))
            };
            Ok((token(&[])?, token(&["--audience", IDENTITY_AUDIENCE])?))
        })
    }
}

/// Waits until the sidecar of a room is ready; `check` fails when it has ended.
pub fn wait_until_ready(room: &Room, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    wait::until(DEADLINE, "a sidecar to be ready", || {
        check()?;
        let address = (Ipv4Addr::LOCALHOST, HEALTH_PORT).into();
        let answer = room.run(|| http::exchange(&Machine, address, &Request::new("GET", "/ready")))?;
        if answer.status != 200 {
            bail!("it says {}", String::from_utf8_lossy(&answer.body));
        }
        Ok(Some(()))
    })
}

/// Programs the redirect of a room, as the init container does.
pub fn redirect(room: &Room, program: &Path) -> Result<()> {
    room.run(|| command::run(Command::new(program).arg("redirect")).map(drop)).context("cannot program the redirect")
}

/// jemalloc asks /proc whether memory is overcommitted, and does more work when it finds no answer.
fn mount_proc(room: &Room, root: &Path) -> Result<()> {
    let mut mount = room.among_mounts("mount");
    command::run(mount.args(["-t", "proc", "proc"]).arg(root.join("proc"))).map(drop)
}
