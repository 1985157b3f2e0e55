//! Sends a number of requests through both sidecars of a call, in one thread, and prints what they allocated.
//!
//! `tulle-guard <scenario> <requests>`. `cargo xtask guard` runs it under callgrind with two numbers of requests and divides the
//! difference: what a request costs, without what starting costs. Caller and application are as plain as can be and count too.

mod application;
mod caller;
mod counting;

use anyhow::{Context, bail};
use counting::Counting;
use tracing::subscriber::NoSubscriber;

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Requests before anything is counted: connections are opened, pools and tables have their size.
const WARM_UP: u32 = 100;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: tulle-guard h1-get|h1-post|h1-crowd|h2-unary <requests>";
    let (Some(scenario), Some(requests)) = (arguments.next(), arguments.next()) else { bail!(usage) };
    let requests: u32 = requests.parse().context(usage)?;
    // As in a sidecar there is somebody who listens to spans and wants none of them: where nobody is, tracing hands each to `log`.
    let _ = tracing::subscriber::set_global_default(NoSubscriber::default());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(run(&scenario, requests))
}

async fn run(scenario: &str, requests: u32) -> anyhow::Result<()> {
    let application = application::start().await?;
    let service = tulle_proxy::lab::start(application).await?;
    let mut caller = caller::Caller::connect(scenario, service).await?;
    caller.send(WARM_UP).await?;
    let before = ALLOCATOR.allocations();
    caller.send(requests).await?;
    let allocations = (ALLOCATOR.allocations() - before) as f64 / f64::from(requests.max(1));
    std::io::Write::write_all(&mut std::io::stdout(), format!("allocations {allocations:.2}\n").as_bytes())?;
    Ok(())
}
