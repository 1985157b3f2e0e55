//! The Tulle sidecar: `run` carries the pod's traffic, `redirect` (init container) programs its capture.

mod access_log;
mod admin;
mod admission;
mod answer;
mod app;
mod buffer;
mod capture;
mod config;
mod control;
mod discovery;
mod drain;
mod error;
mod exchange;
mod h1;
mod health;
mod http;
mod http2;
mod identity;
mod inbound;
mod io;
#[cfg(feature = "lab")]
pub mod lab;
mod limits;
mod listen;
mod memory;
mod metrics;
mod mirror;
mod mux;
mod outbound;
#[cfg(feature = "parsers")]
pub mod parsers;
mod probe;
mod record;
mod redirect;
mod sentence;
mod spans;
mod tcp;
#[cfg(test)]
mod testing;
mod tls;
mod upstream;
mod worker;

// For its symbols, which nothing here names.
#[cfg(target_env = "musl")]
use tulle_copy as _;

use clap::{Parser, Subcommand};

/// The Tulle proxy. Its settings come from the environment, which the webhook writes.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Carries the pod's traffic until SIGTERM.
    Run,
    /// Programs the capture of the pod's traffic and ends.
    Redirect,
}

/// The program: reads the command line and does what it says.
///
/// # Errors
/// What kept it from starting; the message names the remedy.
pub fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run => run(),
        Command::Redirect => redirect(),
    }
}

fn run() -> anyhow::Result<()> {
    let config = config::Config::from_env()?;
    let log = tulle_runtime::telemetry::init(&config.log)?;
    tls::install_provider(config.key_exchange);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pod = config.pod.name, identity = %config.identity, "starting");
    app::run(config, log)
}

fn redirect() -> anyhow::Result<()> {
    let log = tulle_runtime::telemetry::init("info")?;
    let rules = redirect::install(&config::skip_from_env()?)?;
    tracing::info!(rules = %rules, "capture programmed");
    drop(log);
    Ok(())
}
