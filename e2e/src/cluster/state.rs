//! What is remembered of a cluster on disk, and the locks that keep two runs from disturbing each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::addresses::Addresses;
use super::procfs::ProcessId;
use crate::paths;

const FILE: &str = "state.json";

/// Written before anything is created, so that whatever follows can be taken down again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) name: String,
    /// Decides addresses and interface names; unique among the clusters of this machine.
    pub(super) index: u8,
    pub(super) nodes: u8,
    /// The process this cluster must not outlive.
    pub(super) owner: Option<ProcessId>,
}

impl State {
    pub(super) fn addresses(&self) -> Addresses {
        Addresses::new(self.index)
    }

    /// Reads the state below `folder`; `None` if there is no cluster.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(FILE);
        match fs::read(&file) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).with_context(|| format!("{} is damaged", file.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Writes the state below `folder`, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let partial = folder.join(".state.json");
        fs::write(&partial, serde_json::to_vec_pretty(self)?).context("cannot write the cluster's state")?;
        fs::rename(partial, folder.join(FILE)).context("cannot write the cluster's state")
    }
}

/// The folder of the cluster `name`.
pub(super) fn folder(name: &str) -> PathBuf {
    paths::clusters().join(name)
}

/// Names of clusters that have a folder, sorted.
pub(super) fn names() -> Result<Vec<String>> {
    let root = paths::clusters();
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Makes the folder of a new cluster, with the lowest index no other cluster has.
pub(super) fn create(name: &str, nodes: u8, owner: Option<ProcessId>) -> Result<(State, PathBuf)> {
    let _lock = lock_file(".all")?;
    let mut taken = Vec::new();
    for other in names()? {
        taken.extend(State::read(&folder(&other))?.map(|state| state.index));
    }
    let Some(index) = (0..Addresses::MAX_CLUSTERS).find(|index| !taken.contains(index)) else {
        bail!("{} clusters are up, and there are addresses for no more; take one down", Addresses::MAX_CLUSTERS);
    };
    let state = State { name: name.to_owned(), index, nodes, owner };
    let folder = folder(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    state.write(&folder)?;
    Ok((state, folder))
}

/// Locks the cluster `name` against another run that starts or stops it; released when the file is dropped.
pub(super) fn lock(name: &str) -> Result<File> {
    lock_file(name)
}

fn lock_file(name: &str) -> Result<File> {
    let root = paths::clusters();
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let path = root.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
