//! A key pair in two files, reloaded when they change: how a mounted Secret becomes the served certificate.
//!
//! The kubelet replaces a mounted Secret as a whole (a symbolic link is swapped), so both files are read together and a
//! pair that does not fit is tried again. Polling, because an inotify watch on a swapped link has to be re-established
//! in every case and a rotation has hours to spare.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::served_cert::ServedCert;

/// Time between two looks at the files. The kubelet itself takes up to a minute to show a changed Secret.
pub const POLL: Duration = Duration::from_secs(5);

/// Where a key pair lies.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl TlsFiles {
    /// `tls.crt` and `tls.key` in one directory, as a mounted `kubernetes.io/tls` Secret has them.
    #[must_use]
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self { certificate: directory.join("tls.crt"), key: directory.join("tls.key") }
    }

    /// Keeps `served` equal to the files until `stop`. A pair that cannot be read or does not fit is reported once and
    /// the last good one stays; `on_change` hears of every new pair with its chain in PEM.
    ///
    /// # Errors
    /// None today; the result lets it run as a task of [`Shutdown`](crate::shutdown::Shutdown).
    pub async fn follow(
        self,
        served: Arc<ServedCert>,
        stop: CancellationToken,
        on_change: impl Fn(&[u8]) + Send,
    ) -> anyhow::Result<()> {
        let mut last = None;
        let mut reported = String::new();
        loop {
            match self.read().await {
                Ok(pair) if last.as_ref() == Some(&pair) => {}
                Ok(pair) => match served.replace(&pair.0, &pair.1) {
                    Ok(()) => {
                        tracing::info!(certificate = %self.certificate.display(), "serving certificate loaded");
                        on_change(&pair.0);
                        last = Some(pair);
                        reported.clear();
                    }
                    Err(error) => self.report(&error, &mut reported),
                },
                Err(error) => self.report(&error, &mut reported),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn read(&self) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: PathBuf| async move {
            tokio::fs::read(&path).await.with_context(|| format!("read {}", path.display()))
        };
        Ok((read(self.certificate.clone()).await?, read(self.key.clone()).await?))
    }

    fn report(&self, error: &anyhow::Error, reported: &mut String) {
        let text = format!("{error:#}");
        if *reported != text {
            tracing::warn!(certificate = %self.certificate.display(), error = text, "serving certificate not loaded, the last good one stays");
            *reported = text;
        }
    }
}
