//! `tulle-webhook`: arguments in, tasks up, until SIGTERM.

use anyhow::Context;
use clap::{Parser, Subcommand};
use hyper::Uri;
use prometheus_client::registry::Registry;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tulle_runtime::admin::Checks;
use tulle_runtime::served_cert::ServedCert;
use tulle_runtime::shutdown::Shutdown;
use tulle_runtime::tls_files::TlsFiles;
use tulle_runtime::{admin, serve, telemetry, tls};
use tulle_webhook::config::{ADMIN_PORT, Config, WEBHOOK_PORT};
use tulle_webhook::metrics::Metrics;
use tulle_webhook::{selftest, serve::routes};

/// Open reviews finish within their own time limit of five seconds; this is above it.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// `tulle-webhook`: puts the sidecar into pods and validates the mesh's objects.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
    /// Log filter: a level, or target=level pairs separated by commas.
    #[arg(long, env = "TULLE_LOG", default_value = "info", global = true)]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM.
    Run(Box<Config>),
    /// Be the server of `helm test`.
    TestServer,
    /// Be the client of `helm test`: call a URL through the mesh, fail where it was not mutual TLS.
    TestCall {
        /// What to call.
        url: Uri,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    telemetry::init(&cli.log)?;
    match cli.command {
        Command::Run(config) => run(*config).await,
        Command::TestServer => test_server().await,
        Command::TestCall { url } => {
            tracing::info!(result = selftest::call(&url).await?, "test passed");
            Ok(())
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    tls::install_provider()?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let shutdown = Shutdown::on_signals()?;

    let checks = Checks::default();
    let loaded = checks.register("certificate");
    loaded.unmet("not loaded yet: the operator writes it into the Secret tulle-webhook-tls");
    let certificate = ServedCert::empty();
    let files = TlsFiles::in_directory(config.tls_dir.clone());
    shutdown.spawn("certificate", files.follow(Arc::clone(&certificate), shutdown.token(), move |_| loaded.met()));

    let admin = listen(ADMIN_PORT).await?;
    shutdown.spawn("admin", admin::serve(admin, checks, Arc::new(registry), shutdown.token()));
    let webhook = listen(WEBHOOK_PORT).await?;
    let routes = routes(config, metrics);
    shutdown.spawn("webhook", serve::https(webhook, tls::server_config(certificate), routes, shutdown.token()));

    tracing::info!(version = env!("CARGO_PKG_VERSION"), "webhook started");
    shutdown.wait(SHUTDOWN_MAX).await
}

async fn test_server() -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    shutdown.spawn("test-server", selftest::server(listen(selftest::PORT).await?, shutdown.token()));
    shutdown.wait(SHUTDOWN_MAX).await
}

/// Both families on one socket, as Linux maps IPv4 into IPv6; IPv4 alone where the node has no IPv6.
async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.with_context(|| format!("listen on port {port}"))
        }
    }
}
