//! `cargo xtask guard`: what a request costs on the fixed path, counted and compared with the committed budget.
//!
//! Instructions and allocations hardly depend on how busy the machine is, so a change of a few percent is the code's. The program
//! `tulle-guard` runs under callgrind with two numbers of requests; the difference is free of what starting costs. Who is woken how often
//! is the scheduler's, up to 2 % where many requests are under way: what seems too much is counted again, and the least holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tulle_e2e::{command, host, images, paths};

/// How far a cost may lie above its budget.
const TOLERANCE: f64 = 0.03;
/// Counts of a scenario that is above its budget.
const COUNTS: u32 = 4;
/// Requests of the two runs.
const RUNS: [u32; 2] = [500, 2500];

/// Options of the guard.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Write what was counted as the new budget; say in the commit why it moved
    #[arg(long)]
    update: bool,
}

/// What a request of a scenario costs: caller, both sidecars and application.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

type Budget = BTreeMap<String, Cost>;

/// Counts, shows, and fails where a cost is above its budget.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    host::ensure(host::COUNTING)?;
    let program = images::compile(&["tulle-guard"])?.join("tulle-guard");
    let file = paths::repository().join("bench/guard/budget.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let budget: Budget = serde_json::from_str(&text).with_context(|| format!("{} is no budget", file.display()))?;
    let counted: Budget = budget
        .iter()
        .map(|(name, allowed)| Ok((name.clone(), least(&program, name, allowed)?)))
        .collect::<Result<_>>()?;
    show(&budget, &counted);
    if arguments.update {
        fs::write(&file, serde_json::to_string_pretty(&counted)? + "\n")?;
        return Ok(());
    }
    let over = over(&budget, &counted);
    if !over.is_empty() {
        bail!(
            "a request costs more than its budget allows: {}; see docs/performance.md on how to find out why, \
             and on moving the budget",
            over.join(", ")
        );
    }
    Ok(())
}

/// What a scenario costs: the first count within the budget, or the least of [`COUNTS`].
fn least(program: &Path, scenario: &str, allowed: &Cost) -> Result<Cost> {
    let mut least = count(program, scenario)?;
    for _ in 1..COUNTS {
        if excess(&least, allowed).is_empty() {
            break;
        }
        let again = count(program, scenario)?;
        least.instructions = least.instructions.min(again.instructions);
        least.allocations = least.allocations.min(again.allocations);
    }
    Ok(least)
}

/// Runs a scenario twice and divides the difference.
fn count(program: &Path, scenario: &str) -> Result<Cost> {
    let [few, many] = RUNS.map(|requests| once(program, scenario, requests));
    let (few, many) = (few?, many?);
    let requests = f64::from(RUNS[1] - RUNS[0]);
    Ok(Cost { instructions: ((many.0 - few.0) / requests).round(), allocations: many.1 })
}

/// All instructions of a run, and allocations a request.
fn once(program: &Path, scenario: &str, requests: u32) -> Result<(f64, f64)> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/stdout", "--quiet"]);
    let output = command::run(valgrind.arg(program).args([scenario, &requests.to_string()]))?;
    read(&output).with_context(|| format!("callgrind told nothing about {scenario}"))
}

/// The total of callgrind's output and the program's own line. (pure)
fn read(output: &str) -> Option<(f64, f64)> {
    let after = |start: &str| output.lines().find_map(|line| line.strip_prefix(start)?.trim().parse().ok());
    Some((after("totals:").or_else(|| after("summary:"))?, after("allocations ")?))
}

/// The scenarios whose cost is above the budget, in words. (pure)
fn over(budget: &Budget, counted: &Budget) -> Vec<String> {
    let counted =
        budget.iter().filter_map(|(scenario, allowed)| Some((scenario, excess(counted.get(scenario)?, allowed))));
    counted.flat_map(|(scenario, excess)| excess.into_iter().map(move |what| format!("{scenario} {what}"))).collect()
}

/// What of a cost is above the budget, in words. (pure)
fn excess(cost: &Cost, allowed: &Cost) -> Vec<String> {
    let both = [
        ("instructions", cost.instructions, allowed.instructions),
        ("allocations", cost.allocations, allowed.allocations),
    ];
    let above = both.into_iter().filter(|(_, cost, allowed)| *cost > allowed * (1.0 + TOLERANCE));
    above.map(|(what, cost, allowed)| format!("{cost:.2} {what}, budget {allowed:.2}")).collect()
}

fn show(budget: &Budget, counted: &Budget) {
    eprintln!(
        "{:10} {:>14} {:>10} {:>8}   {:>12} {:>8}",
        "a request", "instructions", "budget", "", "allocations", "budget"
    );
    for (scenario, cost) in counted {
        let allowed = budget[scenario];
        let change = (cost.instructions / allowed.instructions - 1.0) * 100.0;
        eprintln!(
            "{scenario:10} {:>14.0} {:>10.0} {change:>+7.1}%   {:>12.2} {:>8.2}",
            cost.instructions, allowed.instructions, cost.allocations, allowed.allocations
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(instructions: f64, allocations: f64) -> Budget {
        BTreeMap::from([("h1-get".to_owned(), Cost { instructions, allocations })])
    }

    #[test]
    fn more_than_three_percent_is_too_much() {
        let budget = costs(10_000.0, 5.0);
        assert!(over(&budget, &costs(10_299.0, 5.0)).is_empty());
        assert_eq!(over(&budget, &costs(10_301.0, 5.0)).len(), 1);
        assert_eq!(over(&budget, &costs(9_000.0, 6.0)).len(), 1);
    }

    #[test]
    fn totals_are_read_from_what_callgrind_and_the_program_say() {
        let output = "# callgrind format\nevents: Ir\nfn=(0)\n1 2\nallocations 5.00\ntotals: 1234\n";
        assert_eq!(read(output), Some((1234.0, 5.0)));
        assert_eq!(read("totals: 1\n"), None);
    }
}
