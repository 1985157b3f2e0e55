//! A run: everything is brought up, warmed up, measured in interleaved rounds, and reported.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tulle_e2e::interrupt::{self, OnInterrupt};
use tulle_e2e::{host, images};

use crate::control_plane::ControlPlane;
use crate::precedence::Precedence;
use crate::rooms::{Building, Room};
use crate::scenarios::{SCENARIOS, Scenario};
use crate::site::{self, Placement, Site};
use crate::targets::tulle::VARIANTS;
use crate::targets::{self, Ground, Role, Target};
use crate::window::{self, Window};

/// Unmeasured seconds before a window of a closed loop: pools are filled, windows grown, memory touched.
const WARM_UP: f64 = 1.0;

/// A window in which others used more is measured again.
const NOISE_CPUS: f64 = 0.15;
/// How often.
const RETRIES: usize = 2;

/// Compares the mesh with other sidecars, by CPU time, latency and memory
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// One round of short windows and few scenarios: about 3 minutes
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
    /// Measure this static `tulle-proxy` instead of building one; a `tulle-operator` beside it is used as well
    #[arg(long)]
    proxy: Option<PathBuf>,
}

/// A folder that goes with its owner.
struct Scratch {
    path: PathBuf,
    _on_interrupt: OnInterrupt,
}

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("tulle-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let gone = path.clone();
        let on_interrupt = interrupt::on_interrupt(move || drop(fs::remove_dir_all(gone)));
        Ok(Self { path, _on_interrupt: on_interrupt })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Runs the comparison.
pub fn run(arguments: &Arguments) -> Result<()> {
    host::require_root("the benchmark")?;
    interrupt::listen();
    let scenarios = chosen_scenarios(&arguments.scenarios)?;
    let names = chosen_targets(&arguments.targets)?;
    let binaries = binaries(arguments.proxy.as_deref())?;
    let scratch = Scratch::new()?;
    let building = Building::new()?;
    let hub = building.hub()?;
    site::prepare_hub(&hub)?;
    let needs_plane = names.iter().any(|name| name.starts_with("tulle"));
    let plane = needs_plane
        .then(|| ControlPlane::up(&hub, &scratch.path.join("control-plane"), &binaries.operator))
        .transpose()?;
    let placement = Placement::halves()?;
    let _precedence = Precedence::take();
    let mut bench = Bench { arguments, placement: &placement, plane: plane.as_ref(), targets: Vec::new() };
    for (number, name) in (0u8..).zip(&names) {
        let ground = Ground {
            folder: scratch.path.join(name),
            placement: Some(&placement),
            plane: plane.as_ref(),
            proxy: &binaries.proxy,
            workers: 1,
        };
        eprintln!("starting {name} ...");
        bench.targets.push(start(name, &ground, &building, &hub, number)?);
    }
    bench.measure(&scenarios).map(drop)
}

fn start(name: &str, ground: &Ground<'_>, building: &Building, hub: &Room, number: u8) -> Result<Target> {
    let site = Site::new(building, hub, number)?;
    match VARIANTS.iter().find(|variant| variant.name == name) {
        Some(variant) => targets::tulle::start(ground, site, *variant),
        None => targets::direct(ground, site),
    }
}

/// Programs of ours.
struct Binaries {
    proxy: PathBuf,
    operator: PathBuf,
}

fn binaries(given: Option<&Path>) -> Result<Binaries> {
    if let Some(proxy) = given {
        let proxy = proxy.canonicalize().with_context(|| format!("there is no {}", proxy.display()))?;
        let operator = proxy.with_file_name("tulle-operator");
        let operator =
            if operator.is_file() { operator } else { images::compile(&["tulle-operator"])?.join("tulle-operator") };
        return Ok(Binaries { proxy, operator });
    }
    let folder = images::compile(&["tulle-proxy", "tulle-operator"])?;
    Ok(Binaries { proxy: folder.join("tulle-proxy"), operator: folder.join("tulle-operator") })
}

fn chosen_scenarios(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let all: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    let find = |name: &String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.with_context(|| format!("no scenario is called {name:?}; there are {}", all.join(", ")))
    };
    names.iter().map(find).collect()
}

fn chosen_targets(names: &[String]) -> Result<Vec<String>> {
    let all: Vec<&str> = ["direct"].into_iter().chain(VARIANTS.iter().map(|variant| variant.name)).collect();
    if let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("no target is called {unknown:?}; there are {}", all.join(", "));
    }
    Ok(if names.is_empty() { all.into_iter().map(str::to_owned).collect() } else { names.to_vec() })
}

struct Bench<'a> {
    arguments: &'a Arguments,
    placement: &'a Placement,
    plane: Option<&'a ControlPlane>,
    targets: Vec<Target>,
}

impl Bench<'_> {
    fn measure(&mut self, scenarios: &[&'static Scenario]) -> Result<Vec<Window>> {
        let rounds = self.arguments.rounds.unwrap_or(if self.arguments.quick { 1 } else { 3 });
        let mut windows = Vec::new();
        for round in 0..rounds {
            for scenario in scenarios {
                for place in 0..self.targets.len() {
                    let target = &self.targets[(place + round) % self.targets.len()];
                    if target.entries.get(scenario.entry).is_none() {
                        continue;
                    }
                    let window = self.quietest(target, scenario, round)?;
                    println(&window);
                    windows.push(window);
                }
            }
        }
        Ok(windows)
    }

    /// One window; again while others used the machine, and then the quietest counts. What it showed has no say in that.
    fn quietest(&self, target: &Target, scenario: &Scenario, round: usize) -> Result<Window> {
        let mut quietest = self.window(target, scenario, round)?;
        for _ in 0..RETRIES {
            if quietest.foreign_cpus <= NOISE_CPUS {
                break;
            }
            let again = self.window(target, scenario, round)?;
            if again.foreign_cpus < quietest.foreign_cpus {
                quietest = again;
            }
        }
        Ok(quietest)
    }

    fn window(&self, target: &Target, scenario: &Scenario, round: usize) -> Result<Window> {
        let seconds = if self.arguments.quick { scenario.quick } else { scenario.seconds };
        let cpus = Some(&self.placement.a);
        window::measure(target, scenario, WARM_UP, round, cpus)?;
        if let Some(plane) = self.plane {
            plane.freeze(true);
        }
        let window = window::measure(target, scenario, seconds, round, cpus);
        if let Some(plane) = self.plane {
            plane.freeze(false);
        }
        let window = window.with_context(|| target.said())?;
        if window.seen.errors > 0 || window.seen.requests == 0 {
            bail!(
                "{} answered {} requests with {} errors in {}; its sidecars said:\n{}",
                target.name,
                window.seen.requests,
                window.seen.errors,
                scenario.name,
                target.said()
            );
        }
        Ok(window)
    }
}

/// A line for a person who watches.
fn println(window: &Window) {
    let cpu = Role::ALL.map(|role| format!("{} {:.1}", role.name(), window.cpu_us(role.name()))).join(", ");
    let latency = window.seen.latency.map_or(String::new(), |latency| {
        format!(
            ", p50 {:.0} p90 {:.0} p99 {:.0} p99.9 {:.0} µs (generator late p50 {:.0} p99 {:.0})",
            latency.p50, latency.p90, latency.p99, latency.p999, latency.lag_p50, latency.lag_p99
        )
    });
    let closed = window.seen.closed.map_or(String::new(), |[p50, _, p99]| format!(", p50 {p50:.0} p99 {p99:.0} µs"));
    eprintln!(
        "{:>2} {:<10} {:<15} {:>8.0}/s  sidecars {:>6.1} µs ({cpu}, load {:.1}){latency}{closed}, others {:.2} CPUs",
        window.round + 1,
        window.scenario,
        window.target,
        window.rate(),
        window.sidecars_us(),
        window.cpu_us("load"),
        window.foreign_cpus,
    );
}
