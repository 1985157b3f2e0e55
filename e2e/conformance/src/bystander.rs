//! A well-behaved caller of HTTP/1 beside an attack: one request after the other on one connection, each answered in full. It asks seldom enough to
//! cost the sidecar nothing that would be taken for the attack's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Pod;
use anyhow::{Context as _, Result, anyhow, ensure};

/// Longest wait for an answer, beside an attacker that may have one of two CPUs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait that is still served: two attackers' worth of work on two busy CPUs, and far from a time-out.
const SLOWEST: Duration = Duration::from_secs(3);

/// From an answer to the next request.
const PAUSE: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug)]
pub struct Bystander {
    /// Ends it when it is dropped.
    stop: Sender<()>,
    thread: JoinHandle<Result<Served>>,
}

/// What it saw.
#[derive(Debug, Default)]
pub struct Served {
    requests: u32,
    slowest: Duration,
}

impl Served {
    /// Its slowest request, if that took too long.
    #[must_use]
    pub fn too_slow(&self) -> Option<String> {
        let Self { requests, slowest } = self;
        (*slowest >= SLOWEST).then(|| format!("a bystander waited {slowest:?} for one of {requests} requests"))
    }
}

impl Bystander {
    /// Begins, after a first answer.
    ///
    /// # Errors
    /// There was none.
    pub fn start(from: &Pod, address: SocketAddr) -> Result<Self> {
        let stream = from.run(|| Ok(TcpStream::connect_timeout(&address, PATIENCE)?))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (mut stream, mut served) = (BufReader::new(stream), Served::default());
        ask(&mut stream, &mut served)?;
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                ask(&mut stream, &mut served)?;
            }
            Ok(served)
        });
        Ok(Self { stop, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    /// A request was not answered, or with another's answer.
    pub fn stop(self) -> Result<Served> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("the bystander panicked"))?
    }
}

fn ask(stream: &mut BufReader<TcpStream>, served: &mut Served) -> Result<()> {
    let (own, start) = (format!("/{}", served.requests), Instant::now());
    write!(stream.get_mut(), "GET {own} HTTP/1.1\r\nhost: web\r\n\r\n")?;
    let (mut length, mut status) = (0, String::new());
    stream.read_line(&mut status).with_context(|| format!("request {own}"))?;
    let mut reason = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if line.starts_with("tulle-error") {
            reason = line.to_owned();
        }
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse()?;
        }
    }
    ensure!(status.starts_with("HTTP/1.1 200 "), "request {own} was answered {status:?} {reason}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).with_context(|| format!("request {own}"))?;
    // The echo names the path: an answer to somebody else's request shows.
    ensure!(String::from_utf8_lossy(&body).contains(&format!("{own:?}")), "request {own} got another's answer");
    served.requests += 1;
    served.slowest = served.slowest.max(start.elapsed());
    Ok(())
}
