//! (shell) The measurements: windows in interleaved rounds, and what needs sidecars that have just started.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tulle_e2e::bare::ControlPlane;
use tulle_e2e::bare::certificates::Authority;
use tulle_e2e::interrupt;
use tulle_e2e::rooms::{Building, Room, process};

use crate::conditions;
use crate::figures;
use crate::hold;
use crate::report::{self, Held, Idle, Results};
use crate::run::{Choice, Extra};
use crate::scenarios::{SCENARIOS, Scenario};
use crate::site::{Placement, Site};
use crate::targets::{Class, Ground, Recipe, Role, Target};
use crate::tools::Tools;
use crate::verify::verify;
use crate::window::{self, Window};

/// Unmeasured seconds before a window: pools are filled, windows grown, memory touched.
const WARM_UP: f64 = 1.0;
/// A window in which others used more CPUs is measured again.
const NOISE_CPUS: f64 = 0.15;
/// How often.
const REPEATS: usize = 2;
/// Seconds that all repeats may take, in a full run and in a quick one.
const REPEAT_SECONDS: [f64; 2] = [240.0, 15.0];
/// How long sidecars do nothing before their memory is read.
const IDLE: Duration = Duration::from_secs(5);
/// Connections that sidecars are made for where no more are needed: some set memory aside for each.
const CONNECTIONS: u32 = 2000;
/// Connections held, in a full run and in a quick one.
const HELD: [&[u32]; 2] = [&[1_000, 10_000], &[1_000]];
/// Threads of each sidecar compared.
const WORKERS: [(usize, &str); 2] = [(1, "workers-1"), (2, "workers-2")];

/// See the module.
pub(crate) struct Bench<'a> {
    pub(crate) choice: &'a Choice,
    pub(crate) scratch: &'a Path,
    pub(crate) building: &'a Building,
    pub(crate) hub: &'a Room,
    pub(crate) placement: &'a Placement,
    pub(crate) plane: Option<&'a ControlPlane>,
    pub(crate) proxy: &'a Path,
    pub(crate) peers: &'a Authority,
    pub(crate) tools: &'a Tools,
    /// Connections a sidecar can carry.
    pub(crate) connections_max: u32,
    /// Sites made so far.
    pub(crate) sites: u8,
    /// Seconds spent on repeats.
    pub(crate) repeated: f64,
    /// Windows with wrong answers.
    pub(crate) faults: Vec<String>,
}

impl Bench<'_> {
    /// Runs everything that was chosen.
    pub(crate) fn run(&mut self) -> Result<Results> {
        let begun = Instant::now();
        let mut targets = Vec::new();
        if !self.choice.scenarios.is_empty() || self.choice.extras.contains(&Extra::Idle) {
            for recipe in self.choice.recipes.clone() {
                targets.push(self.start_and_prove(recipe)?);
            }
        }
        let idle = if self.choice.extras.contains(&Extra::Idle) { self.idle(&mut targets)? } else { Vec::new() };
        let mut windows = self.rounds(&targets)?;
        drop(targets);
        let held = self.extra(Extra::Connections, Self::connections)?;
        windows.extend(self.extra(Extra::Workers, Self::workers)?);
        let conditions = conditions::read(self.choice, self.placement, self.tools, begun.elapsed());
        let targets = self.choice.recipes.iter().map(|recipe| recipe.name()).collect();
        let faults = std::mem::take(&mut self.faults);
        Ok(Results { conditions, targets, windows, idle, held, faults })
    }

    /// What was found of an extra, if it was chosen. One that fails is a fault: what took half an hour before it must not be lost.
    fn extra<T>(&mut self, extra: Extra, find: impl FnOnce(&mut Self) -> Result<Vec<T>>) -> Result<Vec<T>> {
        if !self.choice.extras.contains(&extra) {
            return Ok(Vec::new());
        }
        let found = find(self);
        interrupt::check()?;
        Ok(found.unwrap_or_else(|error| {
            let fault = format!("{}: {error:#}", extra.name());
            report::progress(&format!("   FAILED  {fault}"));
            self.faults.push(fault);
            Vec::new()
        }))
    }

    /// Starts a target whose sidecars are made for `connections`.
    fn start(&mut self, recipe: Recipe, workers: usize, connections: u32, pinned: bool) -> Result<Target> {
        interrupt::check()?;
        let site = Site::new(self.building, self.hub, self.sites)?;
        self.sites += 1;
        let ground = Ground {
            folder: self.scratch.join(format!("{}-{}", recipe.name(), self.sites)),
            placement: pinned.then_some(self.placement),
            plane: self.plane,
            proxy: self.proxy,
            peers: self.peers,
            tools: self.tools,
            connections,
            workers,
        };
        recipe.start(&ground, site).with_context(|| format!("cannot start {}", recipe.name()))
    }

    fn start_and_prove(&mut self, recipe: Recipe) -> Result<Target> {
        let target = self.start(recipe, 1, CONNECTIONS, true)?;
        if let Err(error) = verify(&target, &target.folder, recipe.is_hybrid()) {
            return Err(target.explain(&error.context(format!("{} does not do what it is measured for", target.name))));
        }
        report::progress(&format!("{} is up and does what it should", target.name));
        Ok(target)
    }

    fn rounds(&mut self, targets: &[Target]) -> Result<Vec<Window>> {
        let mut windows = Vec::new();
        for round in 0..self.choice.rounds {
            for scenario in self.choice.scenarios.clone() {
                for place in figures::order(targets.len(), round) {
                    let target = &targets[place];
                    if !scenario.classes.contains(&target.class) || target.entries.get(scenario.entry).is_none() {
                        continue;
                    }
                    let seconds = if self.choice.quick { scenario.quick.unwrap_or(2.0) } else { scenario.seconds };
                    let window = self.quietest(target, scenario, seconds, round)?;
                    self.keep(window, &mut windows);
                }
            }
        }
        Ok(windows)
    }

    /// A window with wrong answers measures something else: it is reported, and no figure comes from it.
    fn keep(&mut self, window: Window, windows: &mut Vec<Window>) {
        report::window(&window);
        let (right, wrong) = (window.seen.requests, window.seen.errors);
        if wrong == 0 && right > 0 {
            return windows.push(window);
        }
        let (target, scenario, round) = (&window.target, window.scenario, window.round + 1);
        let fault = format!("{target}, {scenario}, round {round}: {right} right answers and {wrong} wrong ones");
        report::progress(&format!("   WRONG ANSWERS  {fault}"));
        self.faults.push(fault);
    }

    /// One window; again while others used the machine, and then the quietest counts. What it showed has no say in that.
    fn quietest(&mut self, target: &Target, scenario: &Scenario, seconds: f64, round: usize) -> Result<Window> {
        if !scenario.warms_up() {
            window::measure(target, scenario, WARM_UP, round, Some(&self.placement.a))?;
        }
        let mut quietest = self.window(target, scenario, seconds, round)?;
        for _ in 0..REPEATS {
            let may = self.repeated < REPEAT_SECONDS[usize::from(self.choice.quick)];
            if quietest.foreign_cpus <= NOISE_CPUS || !may {
                break;
            }
            self.repeated += seconds;
            let again = self.window(target, scenario, seconds, round)?;
            if again.foreign_cpus < quietest.foreign_cpus {
                quietest = again;
            }
        }
        Ok(quietest)
    }

    fn window(&self, target: &Target, scenario: &Scenario, seconds: f64, round: usize) -> Result<Window> {
        let measured = self.frozen(|| window::measure(target, scenario, seconds, round, Some(&self.placement.a)));
        measured.map_err(|error| target.explain(&error))
    }

    /// Runs `work` while the control plane stands still.
    fn frozen<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let freeze = |frozen| self.plane.into_iter().for_each(|plane| plane.freeze(frozen));
        freeze(true);
        let done = work();
        freeze(false);
        done
    }

    /// Memory at once and after some seconds, and the CPU time spent meanwhile.
    fn idle(&mut self, targets: &mut [Target]) -> Result<Vec<Idle>> {
        let sidecars =
            |target: &Target, role| (process::memory(&target.pids(role)), process::cpu_ns(&target.pids(role)));
        self.frozen(|| {
            let read = |targets: &[Target]| {
                let roles = [Role::Outbound, Role::Inbound];
                targets.iter().map(|target| roles.map(|role| sidecars(target, role))).collect::<Vec<_>>()
            };
            let (before, start) = (read(targets), Instant::now());
            while start.elapsed() < IDLE {
                interrupt::check()?;
                thread::sleep(Duration::from_millis(100));
            }
            let (after, seconds) = (read(targets), start.elapsed().as_secs_f64());
            let all = targets.iter().zip(before).zip(after).filter(|((target, _), _)| target.class != Class::Direct);
            Ok(all
                .map(|((target, before), after)| Idle {
                    target: target.name.clone(),
                    resident_kib_at_start: before.map(|(memory, _)| memory.resident),
                    resident_kib: after.map(|(memory, _)| memory.resident),
                    anonymous_kib: after.map(|(memory, _)| memory.anonymous),
                    cpu_ms_per_second: [0, 1].map(|at| (after[at].1 - before[at].1) as f64 / 1e6 / seconds),
                })
                .collect())
        })
    }

    /// Memory with resting connections, in sidecars that have done nothing else.
    fn connections(&mut self) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        for recipe in self.choice.recipes.clone() {
            if !matches!(recipe.class(), Class::Http | Class::Bytes) {
                continue;
            }
            let target = self.start(recipe, 1, self.connections_max, true)?;
            let before = hold::resident(&target);
            for connections in HELD[usize::from(self.choice.quick)] {
                let connections = (*connections).min(self.connections_max);
                let found = hold::measure(&target, connections, before, Some(&self.placement.a))
                    .map_err(|error| target.explain(&error))?;
                report::held(&found);
                held.push(found);
            }
        }
        Ok(held)
    }

    /// The closed loop with one thread and with two, wherever the scheduler puts them.
    fn workers(&mut self) -> Result<Vec<Window>> {
        let max = SCENARIOS.iter().find(|scenario| scenario.name == "max").context("there is no scenario max")?;
        let mut windows = Vec::new();
        for recipe in self.choice.recipes.clone() {
            if recipe.class() != Class::Http {
                continue;
            }
            for (workers, name) in WORKERS {
                let target = self.start(recipe, workers, CONNECTIONS, false)?;
                window::measure(&target, max, WARM_UP, 0, None)?;
                for round in 0..self.choice.rounds {
                    let found = self.frozen(|| window::measure(&target, max, max.quick.unwrap_or(2.0), round, None))?;
                    self.keep(Window { scenario: name, ..found }, &mut windows);
                }
            }
        }
        Ok(windows)
    }
}
