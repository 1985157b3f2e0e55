//! The load: requests fall due at a fixed rate whatever the answers do, each with an id, none ever sent twice.
//!
//! Latency runs from the moment a request was due, so a server that stalls cannot hide the requests that had to wait
//! ("coordinated omission"). A request that was never sent may go out on a fresh connection; any other failure is final.

mod call;
mod control;
mod pacer;
mod stats;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{Mutex, mpsc};

use self::call::{Answer, Caller, Failure};
use self::pacer::{Pacer, Ticket};
use self::stats::Stats;
use crate::client::Target;
use crate::{output, stop};

/// Requests that may be due and not yet sent: ten seconds at the highest rate used. Beyond it they count as failed.
const BACKLOG: usize = 50_000;
/// Time for requests in flight after SIGTERM.
const FINISH_WITHIN: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Where requests go, `http://host[:port]/path`; host and port alone count for TCP.
    #[arg(long)]
    target: Target,
    /// Requests a second, from the first time the target answers at all; 0 waits for `POST /start`.
    #[arg(long, default_value_t = 0.0)]
    rps: f64,
    /// Requests to send before stopping; without it, until told.
    #[arg(long)]
    count: Option<u64>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// What is spoken.
    #[arg(long, value_enum, default_value_t = Mode::Http1)]
    mode: Mode,
    /// Method of HTTP requests.
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// Control and statistics: `GET /stats`, `/phases`, `/ids`, `POST /start`, `/stop`, `/phase`.
    #[arg(long, default_value_t = 8091)]
    control_port: u16,
    /// Longest wait for an answer in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Prefix of the request ids; the pod's name in a container.
    #[arg(long, env = "HOSTNAME", default_value = "local")]
    run: String,
}

/// What the load speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// HTTP/1.1 with kept connections.
    Http1,
    /// HTTP/2 with prior knowledge.
    H2,
    /// gRPC, one message each way a call.
    Grpc,
    /// gRPC, one long call a connection with a message each way a request.
    GrpcStream,
    /// WebSocket, a text message each way a request.
    Websocket,
    /// TCP, a line each way a request.
    Tcp,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let stopped = stop::on_signal()?;
    let stats = Stats::shared(&arguments.run, arguments.mode);
    let (sender, tickets) = mpsc::channel(BACKLOG);
    let pacer = Pacer::spawn(sender, stats.clone());
    control::listen(arguments.control_port, pacer.clone(), stats.clone()).await?;

    let tickets = Arc::new(Mutex::new(tickets));
    let limit = Duration::from_millis(arguments.timeout_ms);
    let workers: Vec<_> = (0..arguments.connections)
        .map(|_| {
            let caller = Caller::new(arguments.mode, arguments.target.clone(), arguments.method.clone(), stats.clone());
            tokio::spawn(work(caller, tickets.clone(), stats.clone(), limit))
        })
        .collect();
    if arguments.rps > 0.0 {
        tokio::spawn(start_when_answered(arguments.clone(), pacer.clone(), stats.clone()));
    }
    output::json(
        &serde_json::json!({ "load": arguments.target.authority, "run": arguments.run, "mode": arguments.mode }),
    )?;

    stopped.cancelled().await;
    pacer.quit();
    let finished = tokio::time::timeout(FINISH_WITHIN, futures_util::future::join_all(workers)).await.is_ok();
    output::json(&serde_json::json!({ "finished": finished, "stats": stats::lock(&stats).report() }))
}

/// Pause between two attempts while the target starts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// Whatever is applied at once starts in any order: a target that is not there yet is no failure of anybody. These first
/// requests carry no id of the run and are not counted.
async fn start_when_answered(arguments: Arguments, pacer: Pacer, stats: stats::Shared) {
    let mut caller = Caller::new(arguments.mode, arguments.target, arguments.method, stats);
    while !matches!(tokio::time::timeout(Duration::from_secs(1), caller.call("waiting")).await, Ok(Ok(_))) {
        caller.hang_up();
        tokio::time::sleep(ATTEMPT_PAUSE).await;
    }
    pacer.start(arguments.rps, arguments.count);
}

/// Takes one due request after the other; idle workers queue in order, so all connections see use.
async fn work(mut caller: Caller, tickets: Arc<Mutex<mpsc::Receiver<Ticket>>>, stats: stats::Shared, limit: Duration) {
    loop {
        let next = tickets.lock().await.recv().await;
        let Some(ticket) = next else { return };
        let id = stats::lock(&stats).sent(&ticket);
        let started = std::time::SystemTime::now();
        let outcome = match tokio::time::timeout(limit, caller.call(&id)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                caller.hang_up();
                Err(Failure::new("timeout", format!("no answer in {limit:?}")))
            }
        };
        stats::lock(&stats).finished(&ticket, &id, started, outcome);
    }
}
