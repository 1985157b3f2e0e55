//! How a target is loaded. Each scenario runs one load generator through one entry of a target.

use crate::server::BULK_PATH;
use crate::targets::Entry;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name in reports and on the command line.
    pub(crate) name: &'static str,
    pub(crate) entry: Entry,
    pub(crate) tool: Tool,
    /// Seconds measured in a full run.
    pub(crate) seconds: f64,
    /// Seconds measured in a quick run.
    pub(crate) quick: f64,
}

/// The load generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tool {
    /// Ours, at a fixed rate.
    Rate(u32),
    /// Ours, long answers one after the other.
    Pump { path: &'static str },
    /// wrk, in a closed loop, one thread.
    Wrk { connections: u32, close: bool },
}

/// All of them, in the order of a round.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "rate-1000", entry: Entry::Http, tool: Tool::Rate(1000), seconds: 6.0, quick: 3.0 },
    Scenario { name: "rate-4000", entry: Entry::Http, tool: Tool::Rate(4000), seconds: 6.0, quick: 3.0 },
    Scenario {
        name: "max",
        entry: Entry::Http,
        tool: Tool::Wrk { connections: 64, close: false },
        seconds: 6.0,
        quick: 3.0,
    },
    Scenario { name: "bulk", entry: Entry::Http, tool: Tool::Pump { path: BULK_PATH }, seconds: 3.0, quick: 2.0 },
];
