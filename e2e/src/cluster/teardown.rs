//! Taking a cluster down, whatever state it is in: half started, running, or left behind by a run that was killed.
//!
//! The order: process 1 of every node (the kernel then ends all other processes of the node, pods included, and drops
//! their mounts and interfaces), the bridge, the cgroups, the files.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::node::Node;
use super::state::{self, State};
use super::{cgroups, network};
use crate::wait;

/// The kernel ends some hundred processes and unmounts some hundred file systems.
const DEADLINE: Duration = Duration::from_secs(30);

/// Takes down the cluster `name`. Nothing happens when there is none.
pub(super) fn teardown(name: &str) -> Result<()> {
    let folder = state::folder(name);
    if let Some(state) = State::read(&folder)? {
        let nodes: Vec<Node> = (1..=state.nodes).map(|number| Node::new(&folder, &state, number)).collect();
        let mut ending = Vec::new();
        for node in &nodes {
            if let Some(init) = node.init()? {
                init.signal(Signal::KILL)?;
                ending.push(init);
            }
        }
        // Process 1 is the last of its namespace to go: the kernel makes it wait for all others.
        let all_ended = || Ok((!ending.iter().any(|init| init.is_alive())).then_some(()));
        wait::uninterrupted(DEADLINE, &format!("the processes of cluster {name} to end"), all_ended)?;
        for node in &nodes {
            cgroups::remove(&node.cgroup())?;
        }
        network::remove(state.index)?;
    }
    if folder.exists() {
        remove_files(&folder)?;
    }
    Ok(())
}

fn remove_files(folder: &std::path::Path) -> Result<()> {
    // A mount namespace is dismantled a moment after its last process; until then its mount points are busy.
    wait::uninterrupted(DEADLINE, &format!("{} to be removed", folder.display()), || match fs::remove_dir_all(folder) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(())),
        Err(error) => Err(error).context("some of it is still in use"),
    })
}
