//! The images every cluster needs: the sandbox of pods, and cluster DNS.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::PREFIX;
use super::archive::{self, Image};
use crate::components::{COREDNS, Component, PAUSE, Toolbox};
use crate::paths;

/// Runs as nobody in particular.
const USER: u32 = 65532;

/// Names and place of the system images.
#[derive(Debug, Clone)]
pub struct SystemImages {
    archive: PathBuf,
    sandbox: String,
    dns: String,
}

impl SystemImages {
    /// Finds the archive in the cache, or writes it.
    pub fn ensure(tools: &Toolbox) -> Result<Self> {
        let name = |component: &Component| format!("{PREFIX}/{}:{}", component.folder, key(tools, component));
        let folder = paths::cache().join("images");
        let archive = folder.join(format!("system-{}-{}.tar", key(tools, &PAUSE), key(tools, &COREDNS)));
        let images = Self { archive, sandbox: name(&PAUSE), dns: name(&COREDNS) };
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("system.lock"))?;
        lock.lock().context("cannot lock the image cache")?;
        if !images.archive.exists() {
            let contents = archive::write(&[
                image(&images.sandbox, tools, &PAUSE, "pause")?,
                image(&images.dns, tools, &COREDNS, "coredns")?,
            ])?;
            let partial = folder.join(".system.partial");
            fs::write(&partial, contents).context("cannot write the system images")?;
            fs::rename(partial, &images.archive)?;
        }
        Ok(images)
    }

    /// The archive with all of them.
    pub fn archive(&self) -> &Path {
        &self.archive
    }

    /// The sandbox image's name.
    pub fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// The DNS image's name.
    pub fn dns(&self) -> &str {
        &self.dns
    }
}

/// The tag: the beginning of the component's key in the cache, which is the end of its folder's name.
fn key(tools: &Toolbox, component: &Component) -> String {
    let folder = tools.folder(component).file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.rsplit('-').next().unwrap_or_default().chars().take(12).collect()
}

fn image(name: &str, tools: &Toolbox, component: &Component, program: &str) -> Result<Image> {
    let file = tools.program(component, program);
    let binary = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Image { name: name.to_owned(), program: program.to_owned(), binary, user: USER })
}
