//! (shell) Compiles a component into a folder named by its key, atomically, one build at a time.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Component, key};
use crate::progress::Step;
use crate::{command, host, paths};

/// Of every build: no paths of this machine, no symbol tables.
const COMMON_FLAGS: [&str; 1] = ["-trimpath"];
const LINKER_FLAGS: &str = "-s -w";

pub(super) fn ensure(component: &Component) -> Result<PathBuf> {
    let source = component.source();
    let compiler = command::run(Command::new("go").arg("version"))
        .context("the cluster's components are compiled with Go 1.26.6 or newer, which is not installed")?;
    let Component { flags, stamps, packages, cgo, .. } = component;
    let flags = format!("{COMMON_FLAGS:?} {LINKER_FLAGS} {flags:?} {stamps:?} {packages:?} cgo={cgo}");
    let name = format!("{}-{}", component.folder, key::of(&source, compiler.trim(), &flags)?);
    let folder = paths::cache().join("components");
    let finished = folder.join(&name);
    if finished.is_dir() {
        return Ok(finished);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the cache {}", folder.display()))?;
    // Two runs at once: the second waits here and then finds the work done.
    let lock = File::create(folder.join(format!("{}.lock", component.folder)))?;
    lock.lock().context("cannot lock the component cache")?;
    if !finished.is_dir() {
        compile(component, &source, &folder.join(format!(".{name}.partial")), &finished)?;
    }
    Ok(finished)
}

fn compile(component: &Component, source: &Path, partial: &Path, finished: &Path) -> Result<()> {
    if component.cgo {
        host::ensure(host::COMPONENT_BUILD)?;
    }
    let go_mod = fs::read_to_string(source.join("go.mod")).context("cannot read go.mod")?;
    let version = key::version_in(&go_mod, component.names_version).unwrap_or_default();
    let title = format!("building {} {version}", component.folder);
    let step = Step::start(format!("{} (once)", title.trim()), Some(component.cold));
    // A partial folder is what a build that was killed left behind.
    if partial.exists() {
        fs::remove_dir_all(partial).context("cannot clear an unfinished build")?;
    }
    fs::create_dir_all(partial)?;
    let mut go = Command::new("go");
    go.current_dir(source)
        .env("CGO_ENABLED", if component.cgo { "1" } else { "0" })
        .env("GOWORK", "off")
        .arg("build")
        .args(COMMON_FLAGS)
        .args(component.flags)
        .arg(format!("-ldflags={LINKER_FLAGS}{}", stamps(component.stamps, version)))
        .arg("-o")
        .arg(format!("{}/", partial.display()))
        .args(component.packages);
    command::run(&mut go).with_context(|| format!("{title} failed"))?;
    for link in component.links {
        symlink(component.folder, partial.join(link))?;
    }
    fs::rename(partial, finished).context("cannot move the build into the cache")?;
    step.done();
    Ok(())
}

/// Linker flags that set `stamps`, with the parts of `version` (`v1.2.3`) filled in.
fn stamps(stamps: &[&str], version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let fill = |stamp: &&str| stamp.replace("{version}", version).replace("{major}", major).replace("{minor}", minor);
    stamps.iter().map(|stamp| format!(" -X {}", fill(stamp))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_carry_the_version() {
        assert_eq!(stamps(&["a.b={version}", "a.c={minor}"], "v1.36.3"), " -X a.b=v1.36.3 -X a.c=36");
        assert_eq!(stamps(&[], "v1.36.3"), "");
    }
}
