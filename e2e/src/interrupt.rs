//! Ctrl-C as a request, so that whoever owns a cluster takes it down on the way out.
//!
//! The first signal makes every wait fail and thereby unwinds the owner, whose guards clean up. An owner that sits in
//! something that does not end gets [`GRACE`]; after it, or at a second signal, the clean-ups run here.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// What an owner may take to notice and clean up by itself: a cluster goes down in about two seconds.
const GRACE: Duration = Duration::from_secs(15);
/// The shell's convention for "ended by SIGINT": 128 + 2.
const EXIT_CODE: i32 = 130;

type CleanUp = Box<dyn FnOnce() + Send>;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static CLEAN_UPS: Mutex<Vec<(u64, CleanUp)>> = Mutex::new(Vec::new());

/// Has a person or the system asked this process to stop?
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Fails when this process was asked to stop.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

/// Listens for SIGINT, SIGTERM and SIGHUP from now on. Further calls do nothing.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(stop_on_signal());
            }
        });
    });
}

async fn stop_on_signal() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    };
    next().await;
    REQUESTED.store(true, Ordering::Relaxed);
    eprintln!("stopping; once more to stop at once");
    // Either way the clean-ups below run: time is up, or the person is impatient.
    let _ = tokio::time::timeout(GRACE, next()).await;
    let clean_ups = std::mem::take(&mut *CLEAN_UPS.lock().unwrap_or_else(PoisonError::into_inner));
    for (_, clean_up) in clean_ups {
        clean_up();
    }
    process::exit(EXIT_CODE);
}

/// A clean-up that runs if the process is stopped while this value lives.
#[must_use = "dropping it takes the clean-up back"]
pub struct OnInterrupt(u64);

/// Registers `clean_up` for the case that the owner does not get to do it itself; it must be idempotent.
pub fn on_interrupt(clean_up: impl FnOnce() + Send + 'static) -> OnInterrupt {
    listen();
    let mut clean_ups = CLEAN_UPS.lock().unwrap_or_else(PoisonError::into_inner);
    let id = clean_ups.last().map_or(0, |(id, _)| id + 1);
    clean_ups.push((id, Box::new(clean_up)));
    OnInterrupt(id)
}

impl Drop for OnInterrupt {
    fn drop(&mut self) {
        CLEAN_UPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, _)| *id != self.0);
    }
}
