//! One attack on one face: connection after connection, what it costs both sides, and what the sidecar says.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tulle_e2e::rooms::process;

use super::attacks::{Attack, Manner};
use super::{Face, status};

/// Longest wait for an answer: on a busy machine a sidecar may wait for a CPU for a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait of an attacker that never reads, once no more is taken.
const STALLED: Duration = Duration::from_millis(100);
/// Bytes sent on one connection at most: a sidecar that takes them has endured the attack.
const SENT_BYTES_MAX: usize = 8 << 20;
/// Of an answer, as much as is kept.
const KEPT_BYTES: usize = 1024;

/// See the module.
pub(super) struct Flood<'a> {
    pub(super) face: &'a Face<'a>,
    pub(super) attack: &'a Attack,
    pub(super) duration: Duration,
}

/// What it cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    attacker_ns: u64,
    sidecar_ns: u64,
    pub(super) growth_kib: u64,
    pub(super) connections: u32,
    /// Connections that the sidecar ended.
    pub(super) ended: u32,
    bytes: usize,
    /// Statuses of first answers.
    pub(super) statuses: BTreeSet<u16>,
}

impl Cost {
    /// CPU time of the sidecar for each of the attacker's.
    pub(super) fn amplification(&self) -> f64 {
        self.sidecar_ns as f64 / self.attacker_ns.max(1) as f64
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attacker_ns, sidecar_ns, growth_kib, connections, ended, bytes, statuses } = self;
        let each = |ns: u64| ns / u64::from((*connections).max(1)) / 1000;
        write!(
            f,
            "{ended} of {connections} connections ended, statuses {statuses:?}, CPU us a connection {} : {} ({:.1}), {} KiB sent, +{growth_kib} KiB",
            each(*attacker_ns),
            each(*sidecar_ns),
            self.amplification(),
            bytes / 1024,
        )
    }
}

impl Flood<'_> {
    /// Attacks for a while.
    pub(super) fn run(&self) -> Result<Cost> {
        let sidecar = self.face.target.sidecar_pid()?;
        let (opening, bursts) = ((self.attack.opening)(), self.bursts());
        let before = (process::cpu_ns(&[sidecar]), process::memory(&[sidecar]).resident);
        let mut cost = self.face.from.run(|| {
            let start = Instant::now();
            let began = process::own_thread_ns();
            let mut cost = Cost::default();
            while start.elapsed() < self.duration {
                self.connection(&opening, &bursts, &mut cost)?;
            }
            cost.attacker_ns = process::own_thread_ns() - began;
            Ok(cost)
        })?;
        cost.sidecar_ns = process::cpu_ns(&[sidecar]) - before.0;
        cost.growth_kib = process::memory(&[sidecar]).resident.saturating_sub(before.1);
        Ok(cost)
    }

    /// The writes of a connection, made before the clock runs.
    fn bursts(&self) -> Vec<Vec<u8>> {
        let mut bytes = 0;
        let burst = |number| {
            let burst = (self.attack.burst)(number);
            bytes += burst.len();
            (bytes < SENT_BYTES_MAX && !burst.is_empty()).then_some(burst)
        };
        (0..1000).map_while(burst).collect()
    }

    fn connection(&self, opening: &[u8], bursts: &[Vec<u8>], cost: &mut Cost) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.face.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        cost.connections += 1;
        let (start, mut answer) = (Instant::now(), Vec::new());
        let ended = self.send(&mut stream, opening, bursts, (&mut answer, &mut cost.bytes))?;
        let ended = ended || self.listen(&mut stream, start, &mut answer)?;
        cost.ended += u32::from(ended);
        cost.statuses.extend(status(&answer));
        Ok(())
    }

    /// Sends all of it, or until no more is taken; true at the end of the connection.
    fn send(
        &self,
        stream: &mut TcpStream,
        opening: &[u8],
        bursts: &[Vec<u8>],
        (answer, bytes): (&mut Vec<u8>, &mut usize),
    ) -> Result<bool> {
        let (deaf, start) = (self.attack.manner == Manner::Deaf, Instant::now());
        for mut rest in std::iter::once(opening).chain(bursts.iter().map(Vec::as_slice)) {
            while !rest.is_empty() {
                match stream.write(rest) {
                    Ok(count) => {
                        *bytes += count;
                        rest = &rest[count..];
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        let what = if deaf { PollFlags::OUT } else { PollFlags::OUT | PollFlags::IN };
                        if !wait(stream, what, STALLED)? && deaf {
                            return Ok(false);
                        }
                    }
                    Err(_) => return Ok(false),
                }
                if !deaf && read(stream, answer) {
                    return Ok(true);
                }
                if start.elapsed() > PATIENCE {
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// What the sidecar says to it; true at the end of the connection.
    fn listen(&self, stream: &mut TcpStream, start: Instant, answer: &mut Vec<u8>) -> Result<bool> {
        match self.attack.manner {
            Manner::Deaf => return Ok(false),
            Manner::BreaksOff => stream.shutdown(Shutdown::Write)?,
            Manner::Reads => {}
        }
        while start.elapsed() < PATIENCE {
            wait(stream, PollFlags::IN, STALLED)?;
            if read(stream, answer) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether something happened within `limit`, which is less than a second.
fn wait(stream: &TcpStream, what: PollFlags, limit: Duration) -> Result<bool> {
    let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
    Ok(poll(&mut [PollFd::new(stream, what)], Some(&limit))? > 0)
}

/// Reads what there is and keeps its beginning; true at the end of the connection.
fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(count) => answer.extend(&chunk[..count.min(KEPT_BYTES - answer.len().min(KEPT_BYTES))]),
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
