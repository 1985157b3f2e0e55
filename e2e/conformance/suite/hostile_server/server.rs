//! The server: takes one connection after the other, waits for a request, and says what it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tulle_conformance::Pod;
use tulle_conformance::flood::Cost;
use tulle_conformance::frames::{Frames, HEADERS, PREFACE, settings};
use tulle_e2e::rooms::process;

use super::Calls;
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

/// See the module.
pub(super) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    says: Option<Says>,
    spent: Cost<Calls>,
}

impl Server {
    /// Listens at a port of the pod for as long as this process runs.
    pub(super) fn start(pod: &Pod, port: u16) -> Result<Self> {
        let listener = pod.run(|| Ok(TcpListener::bind(pod.at(port))?))?;
        let state = Arc::<Mutex<State>>::default();
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that is over before it began is the sidecar's to open anew.
                let _ = serve(stream, &own);
            }
        });
        Ok(Self(state))
    }

    /// Says this from the next connection on, and counts anew.
    pub(super) fn say(&self, says: Says) {
        *self.state() = State { says: Some(says), ..State::default() };
    }

    /// What was spent since.
    pub(super) fn spent(&self) -> Cost<Calls> {
        std::mem::take(&mut self.state().spent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    let state = || state.lock().expect("nobody panics with it");
    let Some(says) = state().says else { return Ok(()) };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let began = process::own_thread_ns();
    let ended = match says {
        Says::Attack(attack) => answer(stream, attack),
        Says::Tags => tags(stream),
    };
    let spent = &mut state().spent;
    spent.attacker_ns += process::own_thread_ns() - began;
    spent.connections += 1;
    spent.ended += u32::from(ended);
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
