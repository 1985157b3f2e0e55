//! What a test has at hand: the ground all tests stand on, and a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result};
use tulle_e2e::bare::{self, Binaries, ControlPlane};
use tulle_e2e::rooms::{Building, Room};
use tulle_e2e::scratch::Scratch;
use tulle_e2e::{images, paths};

use crate::site::{Plan, Site};

/// Control plane and programs; up once for all tests.
pub struct Ground {
    // In this order they go: what runs, then where it ran, then its files.
    pub(crate) plane: ControlPlane,
    pub(crate) hub: Room,
    pub(crate) building: Building,
    scratch: Scratch,
    pub(crate) binaries: Binaries,
    app: PathBuf,
    long: bool,
    sites: AtomicU8,
}

impl Ground {
    /// Builds what is missing and starts the control plane.
    pub(crate) fn up(proxy: Option<&Path>, long: bool) -> Result<Self> {
        let binaries = Binaries::ensure(proxy)?;
        let app = binaries.proxy.with_file_name("tulle-e2e-app");
        let app = if proxy.is_some() && app.is_file() {
            app
        } else {
            images::compile(&["tulle-e2e-app"])?.join("tulle-e2e-app")
        };
        let scratch = Scratch::new("conformance")?;
        let building = Building::new()?;
        let hub = building.hub()?;
        bare::prepare_hub(&hub)?;
        let plane = ControlPlane::up(&hub, &scratch.path().join("control-plane"), &binaries.operator)?;
        Ok(Self { plane, hub, building, scratch, binaries, app, long, sites: AtomicU8::new(1) })
    }

    /// Number of the next site.
    pub(crate) fn next_site(&self) -> u8 {
        self.sites.fetch_add(1, Ordering::Relaxed)
    }
}

/// One test's view.
pub struct Context<'a> {
    pub(crate) test: &'static str,
    pub(crate) ground: &'a Ground,
    folder: PathBuf,
}

impl<'a> Context<'a> {
    pub(crate) fn new(test: &'static str, ground: &'a Ground) -> Self {
        Self { test, ground, folder: ground.scratch.path().join(test) }
    }

    /// Builds what the plan says: pods with and without sidecars, their Services, and rules. Everything is ready when it returns.
    pub fn site(&self, plan: &Plan) -> Result<Site<'a>> {
        Site::build(self, plan)
    }

    /// A folder of this test for its files; logs (`*.log`) in folders below it are kept when it fails.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server and client of the end-to-end tests, `tulle-e2e-app`.
    pub fn app(&self) -> &Path {
        &self.ground.app
    }

    /// Whether a person asked for the long form.
    pub fn is_long(&self) -> bool {
        self.ground.long
    }

    /// Lines of this test's logs that tell of a panic.
    pub(crate) fn panics(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (name, text) in self.logs()? {
            found
                .extend(text.lines().filter(|line| line.contains("panicked at")).map(|line| format!("{name}: {line}")));
        }
        Ok(found)
    }

    /// Copies the test's logs to where they outlive the run.
    pub(crate) fn keep_logs(&self) -> Result<PathBuf> {
        let folder = paths::repository().join("target/conformance").join(self.test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, text) in self.logs()? {
            fs::write(folder.join(name), text)?;
        }
        Ok(folder)
    }

    /// Name and text of each log.
    fn logs(&self) -> Result<Vec<(String, String)>> {
        let mut logs = Vec::new();
        let Ok(sites) = fs::read_dir(&self.folder) else { return Ok(logs) };
        for site in sites {
            let site = site?;
            for entry in fs::read_dir(site.path())? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                    logs.push((format!("{}-{name}", site.file_name().to_string_lossy()), text));
                }
            }
        }
        Ok(logs)
    }
}
