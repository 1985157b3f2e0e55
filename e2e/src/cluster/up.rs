//! From nothing to a usable cluster.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::procfs::ProcessId;
use super::state::State;
use super::{Cluster, ClusterSpec, addons, cgroups, control_plane, network, state, teardown};
use crate::command;
use crate::components::{CONTAINERD, HELM, KUBERNETES, Toolbox};
use crate::images::SystemImages;
use crate::progress::Step;
use crate::{interrupt, wait};

/// Starts the cluster; on failure, or when asked to stop, nothing of it is left.
pub(super) fn up(spec: &ClusterSpec, tools: Toolbox, owner: Option<ProcessId>) -> Result<Cluster> {
    interrupt::listen();
    let images = SystemImages::ensure(&tools)?;
    let expected = std::time::Duration::from_secs(8);
    let step = Step::start(format!("starting cluster {} ({} node(s))", spec.name, spec.nodes), Some(expected));
    let _lock = state::lock(&spec.name)?;
    remove_orphans(&spec.name)?;
    refuse_owned(&spec.name, owner)?;
    teardown::teardown(&spec.name).context("cannot clean up after an earlier cluster of this name")?;
    let (state, folder) = state::create(&spec.name, spec.nodes, owner)?;
    match boot(state, folder, tools, &images) {
        Ok(cluster) => {
            step.done();
            Ok(cluster)
        }
        Err(error) => {
            let error = keep_logs(&spec.name, error);
            if let Err(second) = teardown::teardown(&spec.name) {
                eprintln!("cluster {} was not taken down completely: {second:#}", spec.name);
            }
            Err(error)
        }
    }
}

/// A cluster that another running process owns is in use: taking it away would break that process's work.
fn refuse_owned(name: &str, us: Option<ProcessId>) -> Result<()> {
    match State::read(&state::folder(name))?.and_then(|state| state.owner) {
        Some(owner) if owner.is_alive() && Some(owner) != us => {
            bail!("cluster {name} is in use by process {}; wait for its end, or stop it", owner.pid)
        }
        _ => Ok(()),
    }
}

fn boot(state: State, folder: PathBuf, tools: Toolbox, images: &SystemImages) -> Result<Cluster> {
    let cluster = Cluster { state, folder, tools };
    let nodes = cluster.nodes();
    for node in &nodes {
        cgroups::create(&node.cgroup())?;
        node.boot(&cluster.tools)?;
    }
    network::create(&cluster.state, &nodes)?;
    control_plane::prepare(&cluster)?;
    link_programs(&cluster)?;
    control_plane::start_first(&cluster, images)?;
    // The images go in while the API server starts; the runtime's socket appears within a fraction of a second.
    wait::until(std::time::Duration::from_secs(30), "containerd to take images", || {
        cluster.load_image(images.archive()).map(Some)
    })?;
    control_plane::wait_until_ready(&cluster)?;
    control_plane::start_rest(&cluster)?;
    addons::create(&cluster, images)?;
    control_plane::wait_for_nodes(&cluster)?;
    addons::wait_for_dns(&cluster)?;
    Ok(cluster)
}

/// Clusters whose owner died without taking them down, except `ours`, which is locked and goes anyway.
fn remove_orphans(ours: &str) -> Result<()> {
    for name in state::names()?.into_iter().filter(|name| name != ours) {
        let is_orphan = || -> Result<bool> {
            let owner = State::read(&state::folder(&name))?.and_then(|state| state.owner);
            Ok(owner.is_some_and(|owner| !owner.is_alive()))
        };
        if is_orphan()? {
            let _lock = state::lock(&name)?;
            // Looked at again under the lock: someone else may just have started it anew.
            if is_orphan()? {
                eprintln!("removing cluster {name}, whose owner is gone");
                teardown::teardown(&name)?;
            }
        }
    }
    Ok(())
}

/// The programs a person wants, in one folder.
fn link_programs(cluster: &Cluster) -> Result<()> {
    let bin = cluster.bin();
    fs::create_dir_all(&bin)?;
    for (component, name) in [(&KUBERNETES, "kubectl"), (&HELM, "helm"), (&CONTAINERD, "ctr")] {
        symlink(cluster.tools.program(component, name), bin.join(name))?;
    }
    Ok(())
}

/// Adds the last words of every component to the error: their files are about to go.
fn keep_logs(name: &str, error: anyhow::Error) -> anyhow::Error {
    const LINES: usize = 6; // the last words; the cause is nearly always among them
    if interrupt::requested() {
        return error;
    }
    let mut words = String::new();
    if let Ok(Some(state)) = State::read(&state::folder(name)) {
        for number in 1..=state.nodes {
            let node = super::Node::new(&state::folder(name), &state, number);
            for component in node.components() {
                let log = fs::read(node.log(component)).unwrap_or_default();
                let last = command::last_lines(&String::from_utf8_lossy(&log), LINES);
                words += &format!("\n--- {} {component}\n{last}", node.name());
            }
        }
    }
    error.context(format!("the cluster did not start; last lines of its logs:{words}\n---"))
}
