//! `tulle-operator`: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use tulle_operator::config::{Cli, Command};
use tulle_operator::{run, uninstall};

/// One thread: a signature takes 50 µs and a decision less; everything else waits for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    // kube logs each failed call as an error of its own; the caller, who knows what it was for, logs it as well.
    tulle_runtime::telemetry::init(&format!("kube_client::client::builder=off,{}", cli.log))?;
    tulle_runtime::tls::install_provider()?;
    let result = match cli.command {
        Command::Run(config) => run::run(config).await,
        Command::Uninstall(arguments) => uninstall::uninstall(arguments).await,
    };
    Ok(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}"); // the log is where people look; a second copy on standard error would not be JSON
            ExitCode::FAILURE
        }
    })
}
