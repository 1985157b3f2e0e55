//! `tulle-operator`: arguments in, exit code out.

use clap::Parser;
use tulle_operator::config::{Cli, Command};
use tulle_operator::{run, uninstall};

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
