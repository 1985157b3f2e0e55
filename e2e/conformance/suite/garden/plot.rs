//! (shell) The garden in its pod, and the runs: each sends all vectors of a version to a back end, or to each in turn.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tulle_conformance::{Context, Pod, Site};
use tulle_e2e::rooms::Program;
use tulle_e2e::{interrupt, wait};

use super::back_ends::{BACK_ENDS, BackEnd};
use super::client::{self, Answers};
use super::recorder::Record;
use super::seen::{self, Seen};
use super::vectors::Vector;

/// Port of the strict reader that stands in place of a back end.
pub(super) const STRICT: u16 = 8099;
/// Connections at once.
const CALLERS: usize = 12;
/// For what was sent to be told; for a virtual machine to start beside a dozen others.
const LIMIT: Duration = Duration::from_secs(60);
/// Number in the request that ends a run: no vector has it.
pub(super) const LAST: usize = 99_999;

/// Version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Where the vectors of a run come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// Plaintext to the server's sidecar.
    Inbound,
    /// The application beside another sidecar, which speaks mTLS to that one.
    Outbound,
}

/// To whom a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The reader that stands in place of a back end.
    Strict,
    /// One of [`BACK_ENDS`].
    One(usize),
    /// Vector 0 to the first that speaks the version, vector 1 to the second, and so on.
    InTurn,
}

/// A run that is over.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) letter: char,
    pub(super) version: Version,
    pub(super) face: Face,
    pub(super) to: To,
    /// What the caller of each vector got.
    pub(super) answers: Vec<Answers>,
}

impl Run {
    /// Which it is, for people.
    pub(super) fn name(&self) -> String {
        let version = if self.version == Version::One { "HTTP/1" } else { "HTTP/2" };
        let to = match self.to {
            To::Strict => "the strict reader",
            To::One(index) => BACK_ENDS[index].name,
            To::InTurn => "all in turn",
        };
        let face = if self.face == Face::Inbound { "inbound" } else { "outbound" };
        format!("{to}, {version} {face}")
    }

    /// The back end that gets a vector.
    pub(super) fn back_end(&self, number: usize) -> Option<&'static BackEnd> {
        match self.to {
            To::Strict => None,
            To::One(index) => Some(&BACK_ENDS[index]),
            To::InTurn => Some(&BACK_ENDS[in_turn(self.version, number).0]),
        }
    }
}

/// Place and port of the back end whose turn it is.
fn in_turn(version: Version, number: usize) -> (usize, u16) {
    let able: Vec<_> = (0..BACK_ENDS.len()).filter_map(|index| Some((index, port(index, version)?))).collect();
    able[number % able.len()]
}

fn port(index: usize, version: Version) -> Option<u16> {
    let back_end = &BACK_ENDS[index];
    let offset = if version == Version::One { back_end.http1 } else { back_end.http2 };
    offset.map(|offset| BackEnd::ports(index).first + offset)
}

/// Where a back end says what it saw.
enum Source {
    File(PathBuf),
    Record(Record),
}

impl Source {
    fn requests(&self) -> Result<Vec<Seen>> {
        match self {
            Self::File(file) => seen::read(file),
            Self::Record(record) => Ok(record.requests()),
        }
    }
}

/// See the module.
pub(super) struct Plot<'a> {
    site: &'a Site<'a>,
    server: &'a Pod,
    strict: Record,
    sources: Vec<Source>,
    _programs: Vec<Program>,
}

impl<'a> Plot<'a> {
    /// Starts all back ends and waits until each listens.
    pub(super) fn plant(context: &Context<'_>, site: &'a Site<'a>) -> Result<Self> {
        let server = site.pod("server")?;
        let strict = record(server, SocketAddr::from((Ipv4Addr::UNSPECIFIED, STRICT)), true)?;
        let (mut sources, mut programs) = (Vec::new(), Vec::new());
        for (index, back_end) in BACK_ENDS.iter().enumerate() {
            let ports = BackEnd::ports(index);
            let (command, file) = back_end.command(context, ports)?;
            sources.push(if back_end.proxy {
                Source::Record(record(server, (Ipv4Addr::LOCALHOST, ports.next).into(), false)?)
            } else {
                Source::File(file)
            });
            programs.push(server.start(back_end.name, command)?);
        }
        for (index, program) in programs.iter_mut().enumerate() {
            for port in [Version::One, Version::Two].into_iter().filter_map(|version| port(index, version)) {
                wait::until(LIMIT, &format!("{} to listen", BACK_ENDS[index].name), || {
                    program.check()?;
                    // Loopback is not redirected.
                    let reached =
                        server.run(|| Ok(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()))?;
                    Ok(reached.then_some(()))
                })?;
            }
        }
        Ok(Self { site, server, strict, sources, _programs: programs })
    }

    /// Sends everything: first to the strict reader, then to each back end, then from behind another sidecar to each in turn.
    pub(super) fn runs(&self, one: &[Vector], two: &[Vector]) -> Result<Vec<Run>> {
        let mut runs = vec![(Version::One, Face::Inbound, To::Strict)];
        for version in [Version::One, Version::Two] {
            let able = (0..BACK_ENDS.len()).filter(|index| port(*index, version).is_some());
            runs.extend(able.map(|index| (version, Face::Inbound, To::One(index))));
        }
        runs.extend([Version::One, Version::Two].map(|version| (version, Face::Outbound, To::InTurn)));
        let letters = 'a'..='z';
        let runs = letters.zip(runs).map(|(letter, (version, face, to))| {
            let vectors = if version == Version::One { one } else { two };
            let mut run = Run { letter, version, face, to, answers: Vec::new() };
            self.send(&mut run, vectors).with_context(|| run.name())?;
            Ok(run)
        });
        runs.collect()
    }

    fn address(&self, run: &Run, number: usize) -> Result<SocketAddr> {
        let port = match run.to {
            To::Strict => STRICT,
            To::One(index) => port(index, run.version).context("a version it does not speak")?,
            To::InTurn => in_turn(run.version, number).1,
        };
        match run.face {
            Face::Inbound => Ok(self.server.at(port)),
            Face::Outbound => self.site.service("garden", port),
        }
    }

    /// Sends all vectors, many at once, and waits until the back end tells of one more request.
    fn send(&self, run: &mut Run, vectors: &[Vector]) -> Result<()> {
        let from = self.site.pod(if run.face == Face::Inbound { "stranger" } else { "client" })?;
        let (next, answers) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || -> Result<()> {
            loop {
                interrupt::check()?;
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(vector) = vectors.get(number) else { return Ok(()) };
                let bytes = vector.bytes(number, run.letter);
                let answer = exchange(run.version, self.address(run, number)?, &bytes, number)?;
                answers.lock().map_err(|_| anyhow!("a caller panicked"))?.insert(number, answer);
            }
        };
        from.run(|| {
            thread::scope(|scope| {
                let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(work)).collect();
                callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?)
            })
        })?;
        let last = match run.version {
            Version::One => format!("GET /v{LAST}{} HTTP/1.1\r\nHost: last\r\n\r\n", run.letter),
            Version::Two => {
                format!(":method: GET\u{1}:scheme: http\u{1}:authority: last\u{1}:path: /v{LAST}{}\u{1}", run.letter)
            }
        };
        let last: Vec<u8> = last.bytes().map(|byte| if byte == 1 { super::vectors::END } else { byte }).collect();
        for number in 0..if run.to == To::InTurn { BACK_ENDS.len() } else { 1 } {
            let address = self.address(run, number)?;
            wait::until(LIMIT, &format!("the last request to {address} to be answered"), || {
                let answer = from.run(|| exchange(run.version, address, &last, 0))?;
                if answer.statuses == [200] { Ok(Some(())) } else { bail!("it got {answer:?}") }
            })?;
        }
        run.answers = answers.into_inner().map_err(|_| anyhow!("a caller panicked"))?.into_values().collect();
        Ok(())
    }

    /// What each vector of each run became, at whatever back end.
    pub(super) fn seen(&self) -> Result<Vec<Seen>> {
        let mut all = self.strict.requests();
        for source in &self.sources {
            all.extend(source.requests()?);
        }
        Ok(all)
    }

    /// What strict readers could not read.
    pub(super) fn nonsense(&self) -> Vec<String> {
        let mut nonsense: Vec<_> = self.strict.nonsense().iter().map(|what| format!("the mesh sent {what}")).collect();
        for (back_end, source) in BACK_ENDS.iter().zip(&self.sources) {
            if let Source::Record(record) = source {
                nonsense.extend(record.nonsense().iter().map(|what| format!("{} sent {what}", back_end.name)));
            }
        }
        nonsense
    }
}

fn exchange(version: Version, address: SocketAddr, bytes: &[u8], number: usize) -> Result<Answers> {
    // Every second vector arrives in two pieces.
    let cut = if number.is_multiple_of(2) { bytes.len() } else { number * 37 % bytes.len().max(1) };
    match version {
        Version::One => client::http1(address, bytes, cut),
        Version::Two => client::http2(address, bytes),
    }
}

fn record(server: &Pod, address: SocketAddr, strict: bool) -> Result<Record> {
    let record = Record::default();
    record.serve(server.run(|| Ok(TcpListener::bind(address)?))?, strict);
    Ok(record)
}
