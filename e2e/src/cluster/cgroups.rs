//! A cgroup root of its own for each node, so that its pods can be told from all others and removed as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

const ROOT: &str = "/sys/fs/cgroup";

/// Name of the cgroup of one node; the kubelet puts `kubepods` below it.
pub(super) fn name(cluster: &str, node: &str) -> String {
    format!("tulle-{cluster}-{node}")
}

/// The folders that can hold a cgroup: one per controller in version 1, the root itself in version 2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return Ok(vec![PathBuf::from(ROOT)]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(ROOT).context("no cgroups are mounted below /sys/fs/cgroup")? {
        let path = entry?.path();
        // `cpu` may be a link to `cpu,cpuacct`: once is enough.
        if path.is_dir() && !path.is_symlink() && path.join("cgroup.procs").exists() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Makes the cgroup `name` in every hierarchy: the kubelet refuses a root that does not exist.
pub(super) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
        // cgroup-v1/cpusets.rst: a new cpuset has no CPU and no memory node, and takes no task until it has.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(parent) = fs::read_to_string(hierarchy.join(file)) {
                fs::write(folder.join(file), parent.trim()).with_context(|| format!("cannot set {file} of {name}"))?;
            }
        }
    }
    Ok(())
}

/// Process numbers below the cgroup folders whose path below `name` contains `part` (a pod's uid), as this process sees them.
pub(super) fn processes(name: &str, part: &str) -> Result<Vec<i32>> {
    let Some(hierarchy) = hierarchies()?.into_iter().find(|path| path.ends_with("pids") || path == Path::new(ROOT))
    else {
        return Ok(Vec::new());
    };
    let mut numbers = Vec::new();
    for folder in tree(&hierarchy.join(name))? {
        if folder.to_string_lossy().contains(part) {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            numbers.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes the cgroup `name` and all below it. Its processes are dead by now; the kernel needs a moment to let go.
pub(super) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let root = hierarchy.join(name);
        wait::uninterrupted(Duration::from_secs(10), &format!("the cgroup {} to empty", root.display()), || {
            for folder in tree(&root)?.iter().rev() {
                match fs::remove_dir(folder) {
                    Ok(()) => (),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(None),
                    Err(error) => return Err(error).with_context(|| format!("cannot remove {}", folder.display())),
                }
            }
            Ok(Some(()))
        })?;
    }
    Ok(())
}

/// `root` and all folders below it, parents first; empty when there is no such folder.
fn tree(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let mut waiting = if root.is_dir() { vec![root.to_path_buf()] } else { Vec::new() };
    while let Some(folder) = waiting.pop() {
        match fs::read_dir(&folder) {
            Ok(entries) => {
                waiting.extend(entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        }
        folders.push(folder);
    }
    Ok(folders)
}
