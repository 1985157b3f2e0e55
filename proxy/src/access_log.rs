//! One line a request or connection on standard output, written by a thread of its own: a slow reader of the log loses lines, never
//! requests.

mod line;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

pub(crate) use line::Line;

/// Lines that may wait for the writer: a second of a busy proxy. A line is bounded too ([`mod@line`]).
const QUEUE: usize = 8192;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Format {
    /// An object.
    Json,
    /// `key=value`, quoted where the value needs it.
    Text,
}

/// Takes lines, or nothing when the access log is off. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessLog {
    lines: Option<(SyncSender<Vec<u8>>, Format)>,
    lost: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writer.
    pub(crate) fn to_stdout(format: Format) -> std::io::Result<Self> {
        let (log, lines) = Self::new(format);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&lines))?;
        Ok(log)
    }

    /// A log whose lines are for the receiver.
    pub(crate) fn new(format: Format) -> (Self, Receiver<Vec<u8>>) {
        let (sender, lines) = sync_channel(QUEUE);
        (Self { lines: Some((sender, format)), lost: Arc::default() }, lines)
    }

    /// Whether lines are wanted.
    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Lines lost because the reader of standard output was slower than the requests.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes a line, or counts it as lost.
    fn take(&self, line: impl FnOnce(Format) -> Vec<u8>) {
        let Some((lines, format)) = &self.lines else { return };
        if let Err(TrySendError::Full(_)) = lines.try_send(line(*format)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
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
