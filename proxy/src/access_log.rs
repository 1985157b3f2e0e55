//! One JSON line a request on standard output, written by a thread of its own: a slow reader of the log loses lines, never requests.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use serde::Serialize;

/// Lines that may wait for the writer: a second of a busy proxy.
const QUEUE: usize = 8192;

/// Takes lines, or nothing when the access log is off. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessLog {
    lines: Option<SyncSender<Vec<u8>>>,
    lost: Arc<AtomicU64>,
}

/// One request. No query string, no header values: they carry secrets.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    pub(crate) log: &'static str,
    pub(crate) side: &'static str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) duration_ms: f64,
    pub(crate) peer: &'a str,
    pub(crate) service: &'a str,
    pub(crate) backend: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) mtls: bool,
}

/// What the access log needs of a request that was sent on.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Logged {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned() }
    }
}

impl AccessLog {
    /// Starts the writer.
    pub(crate) fn to_stdout() -> std::io::Result<Self> {
        let (sender, lines) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&lines))?;
        Ok(Self { lines: Some(sender), lost: Arc::default() })
    }

    /// Whether lines are wanted.
    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, or counts it as lost.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let Some(lines) = &self.lines else { return };
        let Ok(mut line) = serde_json::to_vec(entry) else { return };
        line.push(b'\n');
        if let Err(TrySendError::Full(_)) = lines.try_send(line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost because the reader of standard output was slower than the requests.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Writes what is queued, in as few writes as there are pauses.
fn write(lines: &Receiver<Vec<u8>>) {
    let mut out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout());
    while let Ok(line) = lines.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            if out.write_all(&line).is_err() {
                return;
            }
            next = lines.try_recv().ok();
        }
        if out.flush().is_err() {
            return;
        }
    }
}
