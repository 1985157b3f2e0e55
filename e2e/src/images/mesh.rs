//! The mesh's own images, built from this clone.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tulle_core::sidecar::PROXY_UID;

use super::archive::{self, Image};
use super::{PREFIX, TAG};
use crate::progress::Step;
use crate::{command, host, paths};

const TARGET: &str = "x86_64-unknown-linux-musl";
/// "nonroot" of the distroless images; any number but 0 would do.
const USER: u32 = 65532;
/// A sidecar runs in every pod of a cluster, so its image has a budget: 15 MB, as stored on a node.
const PROXY_LIMIT_BYTES: u64 = 15_000_000;
/// A cold build of everything on two cores.
const COLD: Duration = Duration::from_secs(600);

/// One of our images: its name and the binary in it.
struct Part {
    image: &'static str,
    binary: &'static str,
    user: u32,
    limit: Option<u64>,
}

const PARTS: [Part; 4] = [
    Part { image: "operator", binary: "tulle-operator", user: USER, limit: None },
    Part { image: "webhook", binary: "tulle-webhook", user: USER, limit: None },
    Part { image: "proxy", binary: "tulle-proxy", user: PROXY_UID, limit: Some(PROXY_LIMIT_BYTES) },
    Part { image: "e2e-app", binary: "tulle-e2e-app", user: USER, limit: None },
];

/// An image that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// Name and tag.
    pub name: String,
    /// The image's id: equal for equal contents.
    pub digest: String,
    /// The archive.
    pub archive: PathBuf,
    /// Size of the archive in bytes.
    pub bytes: u64,
    /// What it may have at most.
    pub limit: Option<u64>,
}

/// All images of the mesh and its test application.
#[derive(Debug, Clone)]
pub struct MeshImages {
    /// Operator, webhook, proxy and test application.
    pub images: Vec<Built>,
}

impl MeshImages {
    /// Compiles the binaries and writes one archive per image into `folder`.
    pub fn build(folder: &Path) -> Result<Self> {
        let step = Step::start("building the mesh's images", Some(COLD));
        let binaries = compile(&PARTS.map(|part| part.binary))?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let images = PARTS.iter().map(|part| part.write(&binaries, folder)).collect::<Result<_>>()?;
        step.done();
        Ok(Self { images })
    }

    /// Fails when an image is larger than it may be. Apart from [`MeshImages::build`], so that an image that grew can
    /// still be run and looked into.
    pub fn check_sizes(&self) -> Result<()> {
        for image in &self.images {
            if let Some(limit) = image.limit.filter(|limit| image.bytes > *limit) {
                bail!(
                    "{} has {} bytes, more than the {limit} it may have; find out what grew",
                    image.name,
                    image.bytes
                );
            }
        }
        Ok(())
    }
}

impl Part {
    fn write(&self, binaries: &Path, folder: &Path) -> Result<Built> {
        let file = binaries.join(self.binary);
        let binary = fs::read(&file).with_context(|| format!("{} was not built", file.display()))?;
        let name = format!("{PREFIX}/{}:{TAG}", self.image);
        let image = Image { name: name.clone(), program: self.binary.to_owned(), binary, user: self.user };
        let contents = archive::write(std::slice::from_ref(&image))?;
        let archive = folder.join(format!("{}.tar", self.image));
        fs::write(&archive, &contents).with_context(|| format!("cannot write {}", archive.display()))?;
        Ok(Built { name, digest: image.digest()?, archive, bytes: contents.len() as u64, limit: self.limit })
    }
}

/// Compiles binaries of the workspace statically, as they are shipped, and returns the folder they are in. A package is named like its
/// binary.
pub fn compile(packages: &[&str]) -> Result<PathBuf> {
    host::ensure(host::IMAGE_BUILD)?;
    ensure_target()?;
    let repository = paths::repository();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository).args(["build", "--release", "--locked", "--target", TARGET]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    // Paths of this machine would end in panic messages and assertions, and make every clone's build another one.
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let mut prefixes = vec![(repository.display().to_string(), "/tulle")];
    prefixes.extend(home.map(|home| (home.display().to_string(), "/cargo")));
    let remap =
        |flag: &str| prefixes.iter().map(|(from, to)| format!("{flag}={from}={to}")).collect::<Vec<_>>().join(" ");
    cargo
        .env("RUSTFLAGS", remap("--remap-path-prefix"))
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc")
        .env("CFLAGS_x86_64_unknown_linux_musl", remap("-ffile-prefix-map"));
    command::run_watched(&mut cargo).context("the mesh does not compile as static binaries")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    Ok(target.join(TARGET).join("release"))
}

fn ensure_target() -> Result<()> {
    let installed = command::run(Command::new("rustup").args(["target", "list", "--installed"]));
    match installed {
        Ok(targets) if targets.lines().any(|target| target == TARGET) => Ok(()),
        Ok(_) => command::run(Command::new("rustup").args(["target", "add", TARGET])).map(drop),
        // Without rustup the compiler decides; it says clearly what it lacks.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_over_its_budget_is_refused() {
        let sized = |bytes| MeshImages {
            images: vec![Built {
                name: "proxy".into(),
                digest: String::new(),
                archive: PathBuf::new(),
                bytes,
                limit: Some(PROXY_LIMIT_BYTES),
            }],
        };
        assert!(sized(PROXY_LIMIT_BYTES).check_sizes().is_ok());
        assert!(sized(PROXY_LIMIT_BYTES + 1).check_sizes().is_err());
    }
}
