//! One owner for every long-lived task: a signal, or the failure of any of them, asks all to end, and the process waits
//! for them no longer than a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tree of tasks of one process. Cloning gives another handle to the same tree.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl Shutdown {
    /// A tree that ends on SIGTERM (what the kubelet sends) and SIGINT (Ctrl-C).
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> anyhow::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate()).context("install the SIGTERM handler")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("install the SIGINT handler")?;
        let token = shutdown.token.clone();
        // Not tracked: it has nothing to finish and ends with the process.
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = token.cancelled() => return,
            };
            tracing::info!(signal = name, "shutting down");
            token.cancel();
        });
        Ok(shutdown)
    }

    /// Cancelled when the process should end. Tasks `select!` on it and return.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks every task to end.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Runs a task the process cannot live without: its error or panic ends all others and becomes the result of
    /// [`wait`](Self::wait).
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let this = self.clone();
        let task = tokio::spawn(task);
        self.tasks.spawn(async move {
            let result = match task.await {
                Ok(result) => result.with_context(|| format!("task {name}")),
                Err(panic) => Err(anyhow::anyhow!("task {name} panicked: {panic}")),
            };
            match result {
                Ok(()) => tracing::debug!(task = name, "task ended"),
                Err(error) => this.fail(error),
            }
        });
    }

    /// Waits until the end was asked for and every task has returned, at most `deadline` after it was asked for.
    ///
    /// # Errors
    /// The first failure of a task, or that tasks were still running at the deadline.
    pub async fn wait(self, deadline: Duration) -> anyhow::Result<()> {
        self.token.cancelled().await;
        self.tasks.close();
        let late = tokio::time::timeout(deadline, self.tasks.wait()).await.is_err();
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        anyhow::ensure!(!late, "{} tasks were still running {deadline:?} after shutdown began", self.tasks.len());
        Ok(())
    }

    fn fail(&self, error: anyhow::Error) {
        tracing::error!(error = format!("{error:#}"), "task failed, shutting down");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.token.cancel();
    }
}

#[cfg(test)]
mod tests;
