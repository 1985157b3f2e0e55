//! One attack on one face: connection after connection, what it costs both sides, and what the sidecar says.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tulle_conformance::flood::{Cost, bursts, flood};

use super::attacks::{Attack, Manner};
use super::{Face, status};

/// Longest wait for an answer: on a busy machine a sidecar may wait for a CPU for a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait of an attacker that never reads, once no more is taken.
const STALLED: Duration = Duration::from_millis(100);
/// Bytes sent on one connection at most: a sidecar that takes them has endured the attack.
const SENT_BYTES_MAX: usize = 8 << 20;
/// Bursts of a connection at most.
const BURSTS_MAX: u32 = 1000;
/// Of an answer, as much as is kept.
const KEPT_BYTES: usize = 1024;

/// See the module.
pub(super) struct Flood<'a> {
    pub(super) face: &'a Face<'a>,
    pub(super) attack: &'a Attack,
    pub(super) duration: Duration,
}

/// What went over its connections.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Bytes of the attacker.
    bytes: usize,
    /// Statuses of the sidecar's first answers.
    pub(super) statuses: BTreeSet<u16>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statuses {:?}, {} KiB sent", self.statuses, self.bytes / 1024)
    }
}

impl Flood<'_> {
    /// Attacks for a while.
    pub(super) fn run(&self) -> Result<Cost<Said>> {
        let Self { face, attack, duration } = self;
        let (opening, bursts) = ((attack.opening)(), bursts(attack.burst, SENT_BYTES_MAX, BURSTS_MAX));
        flood((face.from, face.target), (face.address, PATIENCE), *duration, |stream, cost| {
            self.connection(stream, &opening, &bursts, cost)
        })
    }

    fn connection(
        &self,
        mut stream: TcpStream,
        opening: &[u8],
        bursts: &[Vec<u8>],
        cost: &mut Cost<Said>,
    ) -> Result<()> {
        let (start, mut answer) = (Instant::now(), Vec::new());
        let ended = self.send(&mut stream, opening, bursts, (&mut answer, &mut cost.said.bytes))?;
        let ended = ended || self.listen(&mut stream, start, &mut answer)?;
        cost.ended += u32::from(ended);
        cost.said.statuses.extend(status(&answer));
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
