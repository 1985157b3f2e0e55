//! Connections that are held: begun, then trickled or left alone, many of each kind at once, while everything else goes on.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Face, Kind, status};

/// Connections of each kind on each face.
pub(super) const EACH: usize = 48;
/// Longest wait to connect.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time from one byte to the next.
const TICK: Duration = Duration::from_secs(1);
/// How long connections are held: the proxy's limit for a head (20 s), and time to say so.
const HELD: Duration = Duration::from_secs(22);
/// The proxy's limit for a handshake is 5 s.
const HANDSHAKE: Duration = Duration::from_secs(8);

/// What becomes of such connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// An answer with this status, then the end, in this time.
    Refused(u16, Duration),
    /// The end without an answer, in this time.
    Closed(Duration),
    /// Nothing: nobody but the application can tell how long is too long.
    Endured,
}

/// A kind of such connections.
struct Hold {
    name: &'static str,
    opening: fn() -> Vec<u8>,
    /// Sent at each tick.
    trickle: &'static [u8],
    /// Whether one byte is read at each tick, and no more.
    slow_reader: bool,
    /// `None`: not tried there.
    fate: fn(Kind) -> Option<Fate>,
}

const HOLDS: &[Hold] = &[
    Hold {
        name: "a head, a byte a second",
        opening: || b"GET / HTTP/1.1\r\nhost: web\r\nx: ".to_vec(),
        trickle: b"y",
        slow_reader: false,
        fate: |kind| Some(if kind == Kind::Outbound { Fate::Endured } else { Fate::Refused(408, HELD) }),
    },
    Hold {
        name: "a head that stops",
        opening: || b"GET / HT".to_vec(),
        trickle: b"",
        slow_reader: false,
        fate: |kind| Some(if kind == Kind::Outbound { Fate::Endured } else { Fate::Refused(408, HELD) }),
    },
    Hold {
        name: "a first word that stops",
        opening: || b"GE".to_vec(),
        trickle: b"",
        slow_reader: false,
        fate: |kind| Some(if kind == Kind::Strict { Fate::Closed(HANDSHAKE) } else { Fate::Endured }),
    },
    Hold {
        name: "half a ClientHello",
        // The heads of a record of 512 bytes and of a ClientHello in it (RFC 8446 §5.1, §4), TLS 1.2, and some of its random.
        opening: || [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 20]].concat(),
        trickle: b"",
        slow_reader: false,
        fate: |kind| match kind {
            Kind::Permissive => Some(Fate::Endured),
            Kind::Strict => Some(Fate::Closed(HANDSHAKE)),
            Kind::Outbound => None,
        },
    },
    Hold {
        name: "a ClientHello, a byte a second",
        opening: || [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 20]].concat(),
        trickle: b"\x07",
        slow_reader: false,
        fate: |kind| (kind == Kind::Strict).then_some(Fate::Closed(HANDSHAKE)),
    },
    Hold {
        name: "a body, a byte a second",
        opening: || b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 200000\r\n\r\n".to_vec(),
        trickle: b"y",
        slow_reader: false,
        // What is refused is answered at once, and its rest not waited for.
        fate: |kind| Some(if kind == Kind::Strict { Fate::Refused(403, HANDSHAKE) } else { Fate::Endured }),
    },
    Hold {
        name: "an endless answer, a byte a second",
        opening: || b"GET / HTTP/1.1\r\nhost: web\r\n\r\n".to_vec(),
        trickle: b"",
        slow_reader: true,
        fate: |kind| (kind != Kind::Strict).then_some(Fate::Endured),
    },
];

/// The connections of one face.
pub(super) struct Held {
    pub(super) kind: Kind,
    all: Vec<One>,
    start: Instant,
}

struct One {
    hold: &'static Hold,
    fate: Fate,
    stream: TcpStream,
    answer: Vec<u8>,
    ended: Option<Duration>,
}

impl Held {
    /// Opens them.
    pub(super) fn open(face: &Face<'_>) -> Result<Self> {
        let wanted = HOLDS.iter().filter_map(|hold| Some((hold, (hold.fate)(face.kind)?)));
        let all = face.from.run(|| {
            let mut all = Vec::new();
            for (hold, fate) in wanted {
                let address = if hold.slow_reader { face.endless } else { face.address };
                for _ in 0..EACH {
                    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                    stream.set_nodelay(true)?;
                    stream.write_all(&(hold.opening)())?;
                    stream.set_nonblocking(true)?;
                    all.push(One { hold, fate, stream, answer: Vec::new(), ended: None });
                }
            }
            Ok(all)
        })?;
        Ok(Self { kind: face.kind, all, start: Instant::now() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Holds them until nothing more is to happen.
    pub(super) fn hold(&mut self) -> Result<()> {
        while self.start.elapsed() < HELD {
            let (tick, start) = (Instant::now(), self.start);
            for one in self.all.iter_mut().filter(|one| one.ended.is_none()) {
                if one.trickle() {
                    one.ended = Some(start.elapsed());
                }
            }
            while let Some(left) = TICK.checked_sub(tick.elapsed()) {
                self.wait(left)?;
            }
        }
        Ok(())
    }

    /// Waits for answers and ends.
    fn wait(&mut self, limit: Duration) -> Result<()> {
        let start = self.start;
        let mut open: Vec<&mut One> =
            self.all.iter_mut().filter(|one| one.ended.is_none() && !one.hold.slow_reader).collect();
        let mut asked: Vec<PollFd<'_>> = open.iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)).collect();
        let limit = Timespec { tv_sec: 0, tv_nsec: limit.subsec_nanos().into() };
        poll(&mut asked, Some(&limit))?;
        let ready: Vec<bool> = asked.iter().map(|asked| !asked.revents().is_empty()).collect();
        for (one, _) in open.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            if one.read() {
                one.ended = Some(start.elapsed());
            }
        }
        Ok(())
    }

    /// What is not as it should be, in a line for each kind.
    pub(super) fn verdict(&self) -> Result<()> {
        let mut broken = BTreeMap::new();
        for one in &self.all {
            let (fate, answered) = (one.fate, status(&one.answer));
            let holds = match (fate, one.ended) {
                (Fate::Endured, ended) => ended.is_none() && (one.answer.is_empty() || one.hold.slow_reader),
                (Fate::Closed(limit), Some(ended)) => answered.is_none() && ended <= limit,
                (Fate::Refused(status, limit), Some(ended)) => answered == Some(status) && ended <= limit,
                (Fate::Closed(_) | Fate::Refused(..), None) => false,
            };
            if !holds {
                let what = format!("{fate:?} was expected, status {answered:?}, ended {:?}", one.ended);
                broken.entry(one.hold.name).or_insert((0, what)).0 += 1;
            }
        }
        let lines: Vec<_> = broken
            .iter()
            .map(|(name, (count, what))| format!("{name}, {}: {count} of {EACH}, such as: {what}", self.kind))
            .collect();
        ensure!(lines.is_empty(), "{}", lines.join("\n"));
        Ok(())
    }
}

impl One {
    /// The byte of this second; true where a slow reader finds the end. Whether a byte can be sent shows when the connection is read.
    fn trickle(&mut self) -> bool {
        let _ = self.stream.write(self.hold.trickle);
        let mut byte = [0];
        match self.hold.slow_reader.then(|| self.stream.read(&mut byte)) {
            Some(Ok(count)) => {
                self.answer.extend(&byte[..count]);
                count == 0
            }
            Some(Err(error)) => error.kind() != ErrorKind::WouldBlock,
            None => false,
        }
    }

    /// Reads what there is; true at the end of the connection.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(count) => self.answer.extend(&chunk[..count]),
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}
