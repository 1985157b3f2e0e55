//! `tcp`: connect, perhaps say something, and measure when the other side speaks.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to connect, `host:port`.
    address: String,
    /// Text to send first, with a line feed after it; without it the server has to speak first.
    #[arg(long)]
    send: Option<String>,
    /// Fail unless the first bytes contain this text.
    #[arg(long)]
    expect: Option<String>,
    /// Longest wait in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
}

#[derive(Serialize)]
struct Report {
    connect_ms: f64,
    first_byte_ms: f64,
    text: String,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let limit = Duration::from_millis(arguments.timeout_ms);
    let report = tokio::time::timeout(limit, talk(&arguments))
        .await
        .with_context(|| format!("{}: nothing heard in {limit:?}", arguments.address))??;
    output::json(&report)?;
    match &arguments.expect {
        Some(expected) if !report.text.contains(expected) => bail!("heard {:?} instead of {expected:?}", report.text),
        _ => Ok(()),
    }
}

async fn talk(arguments: &Arguments) -> Result<Report> {
    let start = Instant::now();
    let mut stream =
        TcpStream::connect(&arguments.address).await.with_context(|| format!("connect to {}", arguments.address))?;
    let connect_ms = start.elapsed().as_secs_f64() * 1e3;
    if let Some(text) = &arguments.send {
        stream.write_all(format!("{text}\n").as_bytes()).await?;
    }
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).await?;
    if length == 0 {
        bail!("{} closed the connection without a word", arguments.address);
    }
    let first_byte_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Report { connect_ms, first_byte_ms, text: String::from_utf8_lossy(&buffer[..length]).into_owned() })
}
