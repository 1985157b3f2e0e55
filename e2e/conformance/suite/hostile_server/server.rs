//! The server: takes one connection after the other, waits for a request, and says what it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tulle_conformance::Pod;
use tulle_conformance::frames::{Frames, HEADERS, PREFACE, settings};
use tulle_e2e::rooms::process;

use super::answers::{Attack, Version, plain};

/// Longest wait for the sidecar on one connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes sent on one connection at most.
const ENDURED_BYTES: usize = 8 << 20;

/// What is said on connections from now on.
#[derive(Clone, Copy)]
pub(super) enum Says {
    /// This.
    Attack(&'static Attack),
    /// The path of each request, and behind it the answer to a request that nobody made.
    Tags,
}

/// What it cost, and how connections went.
#[derive(Debug, Default)]
pub(super) struct Spent {
    pub(super) ns: u64,
    pub(super) connections: u64,
    /// Those of them that the sidecar ended.
    pub(super) ended: u64,
}

/// See the module.
pub(super) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    says: Mutex<Option<Says>>,
    stop: AtomicBool,
    ns: AtomicU64,
    connections: AtomicU64,
    ended: AtomicU64,
}

impl Server {
    /// Listens at a port of the pod until it is dropped.
    pub(super) fn start(pod: &Pod, port: u16) -> Result<Self> {
        let listener = pod.run(|| Ok(TcpListener::bind(pod.at(port))?))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listener, &own));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says this from the next connection on, and counts anew.
    pub(super) fn say(&self, says: Says) {
        *self.shared.says.lock().expect("no panic") = Some(says);
        for counter in [&self.shared.ns, &self.shared.connections, &self.shared.ended] {
            counter.store(0, SeqCst);
        }
    }

    /// What was spent since.
    pub(super) fn spent(&self) -> Spent {
        let [ns, connections, ended] =
            [&self.shared.ns, &self.shared.connections, &self.shared.ended].map(|counter| counter.load(SeqCst));
        Spent { ns, connections, ended }
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<()> {
        self.shared.stop.store(true, SeqCst);
        let thread = self.thread.take().expect("it runs");
        thread.join().map_err(|_| anyhow!("the server panicked"))?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
    }
}

fn serve(listener: &TcpListener, shared: &Shared) -> Result<()> {
    while !shared.stop.load(SeqCst) {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Nobody is there to be answered.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let Some(says) = *shared.says.lock().expect("no panic") else { continue };
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let began = process::own_thread_ns();
        let ended = match says {
            Says::Attack(attack) => answer(stream, attack),
            Says::Tags => tags(stream),
        };
        shared.ns.fetch_add(process::own_thread_ns() - began, SeqCst);
        shared.connections.fetch_add(1, SeqCst);
        shared.ended.fetch_add(u64::from(ended), SeqCst);
    }
    Ok(())
}

/// Whether the sidecar ended the connection.
fn answer(mut stream: TcpStream, attack: &Attack) -> bool {
    let asked = match attack.version {
        Version::H1 => head(&mut stream).map(drop),
        Version::H2 => stream.write_all(&settings(&[])).map_err(Into::into).and_then(|()| call(&mut stream)),
    };
    if asked.is_err() || stream.write_all(&(attack.opening)()).is_err() {
        return true;
    }
    let (burst, start) = ((attack.burst)(), Instant::now());
    let mut sent = 0;
    while !burst.is_empty() && sent < ENDURED_BYTES && start.elapsed() < PATIENCE {
        match stream.write(&burst) {
            Ok(count) => sent += count,
            // It takes no more, and does not say why.
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(_) => return true,
        }
    }
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) if start.elapsed() < PATIENCE => {}
            Err(error) if error.kind() != ErrorKind::WouldBlock => return true,
            Ok(_) | Err(_) => return false,
        }
    }
}

/// Reads the head of a request of HTTP/1; empty at the end of the connection.
fn head(stream: &mut TcpStream) -> Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

/// Reads up to the first head of HTTP/2.
fn call(stream: &mut TcpStream) -> Result<()> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface)?;
    ensure!(preface == PREFACE, "no preface");
    Frames::default().until(stream, |frame| frame.kind == HEADERS)?;
    Ok(())
}

/// Answers requests with their paths, until the sidecar ends the connection.
fn tags(mut stream: TcpStream) -> bool {
    loop {
        let Ok(head) = head(&mut stream) else { return false };
        let Some(path) = head.split(' ').nth(1) else { return true };
        if stream.write_all(&[plain(path), plain("poison")].concat()).is_err() {
            return true;
        }
    }
}
