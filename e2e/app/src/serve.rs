//! The servers: HTTP of all kinds on one port, TCP echo, TCP that speaks first, and the ledger on a port of its own.

mod chat;
mod http;
mod tcp;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ledger::Ledger;
use crate::{output, stop};

/// Time between SIGTERM and the closing of listeners. Calls still arrive until every caller has heard that the pod leaves;
/// those of a mesh hear it within milliseconds, those behind kube-proxy within a second or two.
const LEAVE_AFTER: Duration = Duration::from_secs(3);
/// Time for open exchanges after that; well inside the default grace period of 30 s.
const FINISH_WITHIN: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Name in every answer: the version of this server.
    #[arg(long, default_value = "v1")]
    name: String,
    /// HTTP/1.1, HTTP/2 with prior knowledge, gRPC and WebSocket.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// TCP echo.
    #[arg(long, default_value_t = 9000)]
    tcp_port: u16,
    /// TCP where the server speaks first, and alone.
    #[arg(long, default_value_t = 9001)]
    banner_port: u16,
    /// `GET /ledger`: what was answered, as JSON.
    #[arg(long, default_value_t = 8090)]
    ledger_port: u16,
    /// Folder for the ledger at the end, `<id>.json`: the ledger of a pod that is gone is of interest, too.
    #[arg(long)]
    ledger_dir: Option<PathBuf>,
    /// Time each HTTP request takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Name of this instance; the pod's name in a container.
    #[arg(long, env = "HOSTNAME", default_value = "local")]
    id: String,
}

/// What all connections share.
struct Server {
    name: String,
    id: String,
    delay: Duration,
    ledger: Mutex<Ledger>,
    /// Set at SIGTERM: answers say that the connection closes.
    leaving: CancellationToken,
    /// Set [`LEAVE_AFTER`] later: listeners close, idle connections too.
    closing: CancellationToken,
}

impl Server {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A panic while the ledger was held would have left a plain counter behind.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let leaving = stop::on_signal()?;
    let server = Arc::new(Server {
        name: arguments.name.clone(),
        id: arguments.id.clone(),
        delay: Duration::from_millis(arguments.delay_ms),
        ledger: Mutex::default(),
        leaving: leaving.clone(),
        closing: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    listen(arguments.port, &server, &tasks, http::serve).await?;
    listen(arguments.tcp_port, &server, &tasks, tcp::echo).await?;
    listen(arguments.banner_port, &server, &tasks, tcp::banner).await?;
    // The ledger answers until the very end, so nobody waits for its connections.
    listen(arguments.ledger_port, &server, &TaskTracker::new(), http::serve_ledger).await?;
    output::json(&serde_json::json!({ "serving": server.name, "id": server.id, "port": arguments.port }))?;

    leaving.cancelled().await;
    sleep(LEAVE_AFTER).await;
    server.closing.cancel();
    tasks.close();
    let finished = tokio::time::timeout(FINISH_WITHIN, tasks.wait()).await.is_ok();
    output::json(
        &serde_json::json!({ "left": server.name, "id": server.id, "finished": finished, "ledger": &*server.ledger() }),
    )?;
    match &arguments.ledger_dir {
        Some(folder) => leave_ledger(folder, &server),
        None => Ok(()),
    }
}

/// Accepts on `port`, with a task for every connection, until the server closes.
async fn listen<F>(
    port: u16,
    server: &Arc<Server>,
    tasks: &TaskTracker,
    serve: fn(TcpStream, Arc<Server>) -> F,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    // One socket for both families where the kernel has IPv6.
    let listener = match TcpListener::bind(("::", port)).await {
        Ok(listener) => listener,
        Err(_) => {
            TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("cannot listen on port {port}"))?
        }
    };
    let (server, tasks) = (server.clone(), tasks.clone());
    tokio::spawn(async move {
        while let Some(accepted) = server.closing.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                sleep(Duration::from_millis(10)).await; // out of file descriptors: do not spin
                continue;
            };
            let _ = stream.set_nodelay(true);
            tasks.spawn(serve(stream, server.clone()));
        }
    });
    Ok(())
}

/// Written under another name first, so that a reader never meets half a ledger.
fn leave_ledger(folder: &std::path::Path, server: &Server) -> Result<()> {
    let draft = folder.join(format!(".{}", server.id));
    let last = folder.join(format!("{}.json", server.id));
    std::fs::write(&draft, serde_json::to_vec(&*server.ledger())?)
        .and_then(|()| std::fs::rename(&draft, &last))
        .with_context(|| format!("cannot leave the ledger at {}", last.display()))
}
