//! One attack on one face: connection after connection, what it costs both sides, and what the sidecar says.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tulle_conformance::Pod;
use tulle_conformance::flood::{Cost, bursts, flood};
use tulle_conformance::frames::{Frames, GOAWAY, PREFACE, settings};

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

/// What the sidecar said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Codes of its GOAWAYs.
    pub(super) codes: BTreeSet<u32>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "codes {:?}", self.codes)
    }
}

impl Flood<'_> {
    /// Attacks for a while.
    pub(super) fn run(&self) -> Result<Cost<Said>> {
        let bursts = bursts(self.attack.burst, BURSTS_BYTES, BURSTS_MAX);
        let opening = [PREFACE, &settings(self.attack.settings), &(self.attack.opening)()].concat();
        flood((self.from, self.target), (self.address, PATIENCE), self.duration, |stream, cost| {
            connection(stream, &opening, &bursts, cost)
        })
    }
}

fn connection(mut stream: TcpStream, opening: &[u8], bursts: &[Vec<u8>], cost: &mut Cost<Said>) -> Result<()> {
    let (start, mut frames) = (Instant::now(), Frames::default());
    let mut sent = 0;
    'all: for mut rest in std::iter::once(opening).chain(bursts.iter().map(Vec::as_slice)) {
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => {
                    sent += count;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&stream, PollFlags::OUT | PollFlags::IN)?,
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

fn wait(stream: &TcpStream, what: PollFlags) -> Result<()> {
    let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    poll(&mut [PollFd::new(stream, what)], Some(&limit))?;
    Ok(())
}

/// Reads what there is; true at the end of the connection.
fn read(stream: &mut TcpStream, frames: &mut Frames, cost: &mut Cost<Said>) -> bool {
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
                cost.said.codes.extend(frame.code());
            }
        }
        if ended {
            return true;
        }
    }
}
