//! How a target is loaded. Each scenario runs one load generator through one entry of a target.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::load::{Seen, stream};
use crate::parse;
use crate::server::{BULK_PATH, THIS_PROGRAM};
use crate::targets::{Class, Entry};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name in reports and on the command line.
    pub(crate) name: &'static str,
    /// What it measures, for reports.
    pub(crate) about: &'static str,
    pub(crate) entry: Entry,
    pub(crate) tool: Tool,
    /// Which targets it is for.
    pub(crate) classes: &'static [Class],
    /// Seconds measured in a full run.
    pub(crate) seconds: f64,
    /// Seconds measured in a quick run; `None` where it has no part in one.
    pub(crate) quick: Option<f64>,
}

/// The load generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tool {
    /// Ours, at a fixed rate.
    Rate(u32),
    /// Ours, long answers one after the other.
    Pump,
    /// wrk, in a closed loop, one thread.
    Wrk { connections: u32, close: bool },
    /// h2load, in a closed loop, one thread.
    H2load { connections: u32, streams: u32, call: Call },
}

/// What h2load asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A body of 1 KiB.
    Get,
    /// A small message answered by a small message.
    Unary,
    /// A stream of small messages.
    Stream,
}

/// Without sidecars, and with those that understand requests.
const REQUESTS: &[Class] = &[Class::Direct, Class::Http];

/// All of them, in the order of a round.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rate-1000",
        about: "1,000 HTTP/1.1 requests a second over 32 connections, open loop",
        entry: Entry::Http,
        tool: Tool::Rate(1000),
        classes: REQUESTS,
        seconds: 5.0,
        quick: None,
    },
    Scenario {
        name: "rate-4000",
        about: "4,000 HTTP/1.1 requests a second over 32 connections, open loop",
        entry: Entry::Http,
        tool: Tool::Rate(4000),
        classes: REQUESTS,
        seconds: 5.0,
        quick: Some(3.0),
    },
    Scenario {
        name: "max",
        about: "HTTP/1.1, 64 connections, closed loop",
        entry: Entry::Http,
        tool: Tool::Wrk { connections: 64, close: false },
        classes: REQUESTS,
        seconds: 5.0,
        quick: Some(3.0),
    },
    Scenario {
        name: "close",
        about: "a new connection of the application for each request, 16 at a time; the mTLS leg is pooled",
        entry: Entry::Http,
        tool: Tool::Wrk { connections: 16, close: true },
        classes: REQUESTS,
        seconds: 3.0,
        quick: None,
    },
    Scenario {
        name: "handshake",
        about: "a full mTLS handshake for each request, 16 at a time, nothing resumed",
        entry: Entry::Fresh,
        tool: Tool::Wrk { connections: 16, close: true },
        classes: &[Class::Http, Class::Bytes, Class::Handshake],
        seconds: 3.0,
        quick: Some(2.0),
    },
    Scenario {
        name: "h2",
        about: "HTTP/2 requests, 16 connections of 16 streams, closed loop",
        entry: Entry::Grpc,
        tool: Tool::H2load { connections: 16, streams: 16, call: Call::Get },
        classes: REQUESTS,
        seconds: 3.0,
        quick: None,
    },
    Scenario {
        name: "grpc-unary-1",
        about: "calls of gRPC, 128 bytes both ways, 1 connection of 16 streams, closed loop",
        entry: Entry::Grpc,
        tool: Tool::H2load { connections: 1, streams: 16, call: Call::Unary },
        classes: REQUESTS,
        seconds: 3.0,
        quick: None,
    },
    Scenario {
        name: "grpc-unary",
        about: "the same, 16 connections of 16 streams",
        entry: Entry::Grpc,
        tool: Tool::H2load { connections: 16, streams: 16, call: Call::Unary },
        classes: REQUESTS,
        seconds: 3.0,
        quick: Some(2.0),
    },
    Scenario {
        name: "grpc-stream",
        about: "4 connections of 4 gRPC streams of messages of 128 bytes, each written by itself; counted in messages",
        entry: Entry::Stream,
        tool: Tool::H2load { connections: 4, streams: 4, call: Call::Stream },
        classes: REQUESTS,
        seconds: 3.0,
        quick: None,
    },
    Scenario {
        name: "bulk",
        about: "bodies of 100 MB over HTTP/1.1, one connection",
        entry: Entry::Http,
        tool: Tool::Pump,
        classes: REQUESTS,
        seconds: 3.0,
        quick: Some(2.0),
    },
    Scenario {
        name: "tcp-bulk",
        about: "the same where the sidecars carry bytes",
        entry: Entry::Http,
        tool: Tool::Pump,
        classes: &[Class::Bytes],
        seconds: 3.0,
        quick: Some(2.0),
    },
];

impl Scenario {
    /// Whether its load generator runs for a while before it counts.
    pub(crate) fn warms_up(&self) -> bool {
        matches!(self.tool, Tool::Rate(_) | Tool::Pump)
    }
}

impl Tool {
    /// The command that loads `address` for `seconds`; `folder` holds the server's files.
    pub(crate) fn command(self, address: SocketAddr, seconds: f64, folder: &Path) -> Command {
        let ours = |mode: &str| {
            let mut command = Command::new(THIS_PROGRAM);
            command.args(["bench-load", mode]).arg(address.to_string()).arg(format!("--seconds={seconds}"));
            command
        };
        let whole_seconds = seconds.ceil();
        match self {
            Self::Rate(rate) => {
                let mut command = ours("rate");
                command.arg(format!("--rate={rate}"));
                command
            }
            Self::Pump => {
                let mut command = ours("pump");
                command.arg(format!("--path={BULK_PATH}"));
                command
            }
            Self::Wrk { connections, close } => {
                let mut command = Command::new("wrk");
                command.args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{whole_seconds}s")]);
                if close {
                    command.args(["-H", "connection: close"]);
                }
                command.arg(format!("http://{address}/"));
                command
            }
            Self::H2load { connections, streams, call } => {
                let mut command = Command::new("h2load");
                command.args([
                    "-t1",
                    &format!("-c{connections}"),
                    &format!("-m{streams}"),
                    &format!("-D{whole_seconds}"),
                ]);
                if call != Call::Get {
                    command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
                    command.arg("-d").arg(folder.join("unary"));
                }
                let path = if call == Call::Get { "" } else { "unary" };
                command.arg(format!("http://{address}/{path}"));
                command
            }
        }
    }

    /// Reads what the load generator printed.
    pub(crate) fn read(self, output: &str) -> Result<Seen> {
        match self {
            Self::Rate(_) | Self::Pump => {
                let line = output.lines().last().unwrap_or_default();
                serde_json::from_str(line).context("the load generator said nothing")
            }
            Self::Wrk { .. } => parse::wrk(output),
            Self::H2load { call, .. } => parse::h2load(output, (call == Call::Stream).then_some(stream::MESSAGE_BYTES)),
        }
    }
}
