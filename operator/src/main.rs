//! `tulle-operator`: reconciles the mesh's objects and signs workload certificates.

mod apply;
mod ca;
mod config;
mod controllers;
mod desired;
mod issuer;
mod keepers;
mod lease;
mod metrics;
mod run;
mod uninstall;
mod world;

use clap::Parser;

use config::{Cli, Command};

/// One thread: a signature takes 50 µs and a decision less; everything else waits for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tulle_runtime::telemetry::init(&cli.log)?;
    tulle_runtime::tls::install_provider()?;
    let result = match cli.command {
        Command::Run(config) => run::run(config).await,
        Command::Uninstall(arguments) => uninstall::uninstall(arguments).await,
    };
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "failed");
    }
    result
}
