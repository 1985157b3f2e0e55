//! A folder that goes with its owner, also when the owner is interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::interrupt::{self, OnInterrupt};

/// See the module.
pub struct Scratch {
    path: PathBuf,
    _on_interrupt: OnInterrupt,
}

impl Scratch {
    /// Makes a folder of this process for `purpose`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(purpose: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("tulle-{purpose}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let gone = path.clone();
        let on_interrupt = interrupt::on_interrupt(move || drop(fs::remove_dir_all(gone)));
        Ok(Self { path, _on_interrupt: on_interrupt })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
