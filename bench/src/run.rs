//! A run: everything is brought up and proven, measured in interleaved rounds, and reported.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tulle_e2e::bare::{self, Binaries, ControlPlane};
use tulle_e2e::rooms::Building;
use tulle_e2e::scratch::Scratch;
use tulle_e2e::{host, interrupt};

use crate::bench::Bench;
use crate::precedence::Precedence;
use crate::report;
use crate::scenarios::{SCENARIOS, Scenario};
use crate::site::Placement;
use crate::targets::{Recipe, peers};
use crate::tools::Tools;

/// Files and sockets a program may have open: 10,000 connections are [`FILES_PER_CONNECTION`] for each in a sidecar.
const OPEN_FILES: u64 = 65_536;
/// What a sidecar of ours sets aside for each connection of one direction (`proxy/src/limits.rs`); others need two.
const FILES_PER_CONNECTION: u64 = 4;
/// Of them, those that are no connections.
const OTHER_FILES: u64 = 1000;
/// Rounds of a full run.
const ROUNDS: usize = 3;

/// Compares the mesh with other sidecars, by CPU time, latency and memory
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One round of short windows and fewer scenarios: about 3 minutes instead of 40
    #[arg(long)]
    quick: bool,
    /// Targets, separated by commas; all where absent
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// Scenarios, separated by commas; all where absent
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Rounds; each measures every target once in every scenario
    #[arg(long)]
    rounds: Option<usize>,
    /// Write the figures to this file instead of bench/results
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Measure this static `tulle-proxy` instead of building one; a `tulle-operator` beside it is used as well
    #[arg(long, value_name = "PATH")]
    proxy: Option<PathBuf>,
}

/// What was asked for, checked.
pub(crate) struct Choice {
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) recipes: Vec<Recipe>,
    pub(crate) scenarios: Vec<&'static Scenario>,
    /// Scenarios that are not windows of a load.
    pub(crate) extras: Vec<Extra>,
}

/// A scenario that needs sidecars of its own, or none that work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Memory and CPU time of sidecars that have nothing to do.
    Idle,
    /// Memory with connections that rest.
    Connections,
    /// More threads.
    Workers,
}

impl Extra {
    const ALL: [Self; 3] = [Self::Idle, Self::Connections, Self::Workers];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connections => "connections",
            Self::Workers => "workers",
        }
    }
}

/// Runs the comparison.
pub fn run(arguments: &Arguments) -> Result<()> {
    let choice = arguments.choice()?;
    host::require_root("the benchmark")?;
    interrupt::listen();
    let tools =
        Tools::ensure(choice.recipes.iter().any(|recipe| matches!(recipe, Recipe::Peer(kind) if kind.needs_envoy())))?;
    let ours = choice.recipes.iter().any(|recipe| matches!(recipe, Recipe::Tulle(_)));
    let binaries = if ours { Some(Binaries::ensure(arguments.proxy.as_deref())?) } else { None };
    let connections_max = raise_open_files()?;
    let scratch = Scratch::new("bench")?;
    let building = Building::new()?;
    let hub = building.hub()?;
    bare::prepare_hub(&hub)?;
    let folder = scratch.path().join("control-plane");
    let plane = binaries.as_ref().map(|binaries| ControlPlane::up(&hub, &folder, &binaries.operator)).transpose()?;
    let (placement, peers) = (Placement::halves()?, peers::authority(&scratch.path().join("peers"))?);
    let proxy = binaries.map(|binaries| binaries.proxy).unwrap_or_default();
    let results = {
        let mut bench = Bench {
            choice: &choice,
            scratch: scratch.path(),
            building: &building,
            hub: &hub,
            placement: &placement,
            plane: plane.as_ref(),
            proxy: &proxy,
            peers: &peers,
            tools: &tools,
            connections_max,
            sites: 0,
            repeated: 0.0,
            faults: Vec::new(),
        };
        let _precedence = Precedence::take();
        bench.run()?
    };
    report::write(&results, arguments.report.as_deref())?;
    match results.faults.len() {
        0 => Ok(()),
        count => bail!("{count} measurements failed and are left out of the figures; the report names them"),
    }
}

impl Arguments {
    fn choice(&self) -> Result<Choice> {
        let recipes = chosen("target", &self.targets, &Recipe::all(), |recipe| recipe.name())?;
        let windows = SCENARIOS.iter().map(|scenario| scenario.name);
        let names: Vec<&str> = windows.chain(Extra::ALL.map(Extra::name)).collect();
        let wanted = chosen("scenario", &self.scenarios, &names, |name| name)?;
        // Asked for by name, a scenario runs even where a quick run would leave it out.
        let all = self.scenarios.is_empty();
        let scenarios = SCENARIOS
            .iter()
            .filter(|scenario| wanted.contains(&scenario.name) && !(all && self.quick && scenario.quick.is_none()));
        let extras = Extra::ALL.into_iter().filter(|extra| wanted.contains(&extra.name()));
        Ok(Choice {
            quick: self.quick,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { ROUNDS }),
            recipes,
            scenarios: scenarios.collect(),
            extras: extras.filter(|extra| !(all && self.quick && *extra == Extra::Workers)).collect(),
        })
    }
}

/// Raises the limit of open files for all that is started, as far as this machine lets us. Returns how many connections a sidecar can
/// carry with it.
fn raise_open_files() -> Result<u32> {
    let wanted = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
            .context("cannot raise the limit of open files")?;
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES);
    u32::try_from(files.saturating_sub(OTHER_FILES) / FILES_PER_CONNECTION)
        .context("a limit of open files beyond all bounds")
}

/// Those of `all` that `names` names; all where it is empty.
fn chosen<T: Copy>(what: &str, names: &[String], all: &[T], name_of: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|one| name_of(*one) == name.as_str())) {
        let known: Vec<&str> = all.iter().map(|one| name_of(*one)).collect();
        bail!("no {what} is called {unknown:?}; there are {}", known.join(", "));
    }
    let wanted = |one: &T| names.is_empty() || names.iter().any(|name| name == name_of(*one));
    Ok(all.iter().copied().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(quick: bool, scenarios: &[&str]) -> Arguments {
        let scenarios = scenarios.iter().map(|name| (*name).to_owned()).collect();
        Arguments { quick, targets: Vec::new(), scenarios, rounds: None, report: None, proxy: None }
    }

    #[test]
    fn a_quick_run_leaves_out_what_is_not_asked_for() {
        let names = |choice: &Choice| choice.scenarios.iter().map(|scenario| scenario.name).collect::<Vec<_>>();
        let quick = arguments(true, &[]).choice().expect("sound");
        assert!(!names(&quick).contains(&"rate-1000") && names(&quick).contains(&"rate-4000"));
        assert_eq!((quick.rounds, quick.extras.contains(&Extra::Workers)), (1, false));
        let asked = arguments(true, &["rate-1000", "workers"]).choice().expect("sound");
        assert_eq!((names(&asked), asked.extras), (vec!["rate-1000"], vec![Extra::Workers]));
        let full = arguments(false, &[]).choice().expect("sound");
        assert_eq!((full.scenarios.len(), full.extras.len(), full.rounds), (SCENARIOS.len(), 3, ROUNDS));
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_right_ones() {
        let error = arguments(false, &["rate-4k"]).choice().err().expect("unknown");
        assert!(error.to_string().contains("rate-4000"), "{error}");
    }
}
