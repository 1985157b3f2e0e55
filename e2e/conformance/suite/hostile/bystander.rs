//! A well-behaved caller beside an attack: one request after the other, each answered in full.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use tulle_conformance::Pod;
use tulle_conformance::frames::{
    DATA, END_STREAM, Frames, GOAWAY, PREFACE, RST_STREAM, headers, request, settings, window_update,
};

/// Longest wait for an answer, beside an attacker that may have one of two CPUs.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Served>>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) requests: u32,
    pub(super) slowest: Duration,
}

impl Bystander {
    /// Begins, after a first answer.
    pub(super) fn start(from: &Pod, address: SocketAddr) -> Result<Self> {
        let mut stream = from.run(|| Ok(TcpStream::connect_timeout(&address, PATIENCE)?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(&[PREFACE, &settings(&[(4, 1 << 20)]), &window_update(0, 1 << 30)].concat())?;
        let (mut frames, mut served) = (Frames::default(), Served::default());
        ask(&mut stream, &mut frames, &mut served)?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                ask(&mut stream, &mut frames, &mut served)?;
            }
            Ok(served)
        });
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub(super) fn stop(self) -> Result<Served> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the bystander panicked"))?
    }
}

fn ask(stream: &mut (impl Read + Write), frames: &mut Frames, served: &mut Served) -> Result<()> {
    let (id, start) = (2 * served.requests + 1, Instant::now());
    stream.write_all(&headers(id, END_STREAM, &request("GET", "/")))?;
    let mut bytes = 0;
    let last = frames.until(stream, |frame| {
        bytes += if frame.kind == DATA { frame.payload.len() } else { 0 };
        frame.kind == GOAWAY || frame.stream == id && (frame.kind == RST_STREAM || frame.flags & END_STREAM != 0)
    });
    let last = last.with_context(|| format!("request {}", served.requests))?.context("the connection ended")?;
    ensure!(
        last.kind == DATA && bytes == 16 * 1024,
        "request {} ended with {last:?} after {bytes} bytes",
        served.requests
    );
    served.requests += 1;
    served.slowest = served.slowest.max(start.elapsed());
    Ok(())
}
