//! One attack on one face: connection after connection, what it costs both sides, and what the sidecar says.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tulle_conformance::Pod;
use tulle_conformance::frames::{Frames, GOAWAY, PREFACE, settings};
use tulle_e2e::rooms::process;

use super::attacks::Attack;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_millis(1000);
/// Bytes sent on one connection at most: a sidecar that endures them has lost.
const ENDURED_BYTES: usize = 8 << 20;
/// Bursts of a connection: as many as make this many bytes, within bounds.
const BURSTS_BYTES: usize = 2 << 20;
/// See [`BURSTS_BYTES`].
const BURSTS_MAX: u32 = 4000;

/// See the module.
pub(super) struct Flood<'a> {
    pub(super) from: &'a Pod,
    /// The pod whose sidecar is attacked.
    pub(super) target: &'a Pod,
    pub(super) address: SocketAddr,
    pub(super) attack: &'a Attack,
    pub(super) duration: Duration,
}

/// What it cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    attacker_ns: u64,
    sidecar_ns: u64,
    pub(super) growth_kib: u64,
    connections: u32,
    /// Connections that the sidecar ended.
    pub(super) ended: u32,
    /// Codes of its GOAWAYs.
    pub(super) codes: BTreeSet<u32>,
}

impl Cost {
    /// CPU time of the sidecar for each of the attacker's.
    pub(super) fn amplification(&self) -> f64 {
        self.sidecar_ns as f64 / self.attacker_ns.max(1) as f64
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attacker_ns, sidecar_ns, growth_kib, connections, ended, codes } = self;
        let each = |ns: u64| ns / u64::from((*connections).max(1)) / 1000;
        write!(
            f,
            "{ended} of {connections} connections ended, codes {codes:?}, CPU us a connection {} : {} ({:.1}), +{growth_kib} KiB",
            each(*attacker_ns),
            each(*sidecar_ns),
            self.amplification()
        )
    }
}

impl Flood<'_> {
    /// Attacks for a while.
    pub(super) fn run(&self) -> Result<Cost> {
        let sidecar = self.target.sidecar_pid()?;
        let mut bytes = 0;
        let burst = |number| {
            let burst = (self.attack.burst)(number);
            bytes += burst.len();
            (bytes < BURSTS_BYTES && !burst.is_empty()).then_some(burst)
        };
        let bursts: Vec<Vec<u8>> = (0..BURSTS_MAX).map_while(burst).collect();
        let opening = [PREFACE, &settings(self.attack.settings), &(self.attack.opening)()].concat();
        let before = (process::cpu_ns(&[sidecar]), process::memory(&[sidecar]).resident);
        let mut cost = self.from.run(|| {
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

    fn connection(&self, opening: &[u8], bursts: &[Vec<u8>], cost: &mut Cost) -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        cost.connections += 1;
        let (start, mut frames) = (Instant::now(), Frames::default());
        let mut sent = 0;
        'all: for mut rest in std::iter::once(opening).chain(bursts.iter().map(Vec::as_slice)) {
            while !rest.is_empty() {
                match stream.write(rest) {
                    Ok(count) => {
                        sent += count;
                        rest = &rest[count..];
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        wait(&stream, PollFlags::OUT | PollFlags::IN)?
                    }
                    Err(_) => break 'all,
                }
                if read(&mut stream, &mut frames, cost) {
                    cost.ended += 1;
                    return Ok(());
                }
                if sent > ENDURED_BYTES || start.elapsed() > PATIENCE {
                    return Ok(());
                }
            }
        }
        // All was sent, or no more is taken: what the sidecar says to it.
        while start.elapsed() < PATIENCE {
            wait(&stream, PollFlags::IN)?;
            if read(&mut stream, &mut frames, cost) {
                cost.ended += 1;
                break;
            }
        }
        Ok(())
    }
}

fn wait(stream: &TcpStream, what: PollFlags) -> Result<()> {
    let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    poll(&mut [PollFd::new(stream, what)], Some(&limit))?;
    Ok(())
}

/// Reads what there is; true at the end of the connection.
fn read(stream: &mut TcpStream, frames: &mut Frames, cost: &mut Cost) -> bool {
    let mut chunk = [0; 16 * 1024];
    loop {
        let ended = match stream.read(&mut chunk) {
            Ok(0) => true,
            Ok(count) => {
                frames.push(&chunk[..count]);
                false
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => true,
        };
        for frame in frames.by_ref() {
            if frame.kind == GOAWAY {
                cost.codes.extend(frame.code());
            }
        }
        if ended {
            return true;
        }
    }
}
