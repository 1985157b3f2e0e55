//! The attacks, as bytes: what a connection begins with, and what is then repeated.

use tulle_conformance::flood::repeat;
/// How a sidecar must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// This status, and the end of the connection.
    Refused(u16),
    /// The end of the connection, with or without a word.
    End,
    /// Nothing has to end, as long as it costs little.
    Endured,
    /// Nothing has to end, as long as it costs little memory and nobody else their answers: an application wants each of these requests, and
    /// their work is its own.
    Wanted,
}

/// What the attacker does when a connection's bursts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads along, and waits for what the sidecar says.
    Reads,
    /// Reads along, says that no more comes, and waits for the end.
    BreaksOff,
    /// Never reads.
    Deaf,
}

/// An attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) answer: Answer,
    /// Whether the head of its request is whole: who may not call is told so, whatever follows.
    pub(super) whole_head: bool,
    pub(super) manner: Manner,
    /// Bytes before the flood.
    pub(super) opening: fn() -> Vec<u8>,
    /// Bytes of one write; the number counts those of a connection from 0. Empty: no more.
    pub(super) burst: fn(u32) -> Vec<u8>,
}

const fn attack(name: &'static str, answer: Answer, opening: fn() -> Vec<u8>, burst: fn(u32) -> Vec<u8>) -> Attack {
    Attack { name, answer, whole_head: false, manner: Manner::Reads, opening, burst }
}

pub(super) const ATTACKS: &[Attack] = &[
    attack("a target without end", Answer::Refused(431), || b"GET /".to_vec(), |_| repeat(b"a")),
    attack("a value without end", Answer::Refused(431), || b"GET / HTTP/1.1\r\nx: ".to_vec(), |_| repeat(b"a")),
    attack("lines without end", Answer::Refused(431), || b"GET / HTTP/1.1\r\n".to_vec(), |_| repeat(b"x: y\r\n")),
    attack(
        "a long head in pieces",
        Answer::Refused(431),
        || [b"GET /", &*b"a".repeat(60 * 1024), b" HTTP/1.1\r\n"].concat(),
        |_| b"x: y\r\n".to_vec(),
    ),
    attack("malformed requests", Answer::Refused(400), Vec::new, |_| repeat(b"GET / HTTP/1.1\r\nhost : web\r\n\r\n")),
    attack("two lengths", Answer::Refused(400), Vec::new, |_| {
        repeat(b"POST / HTTP/1.1\r\nhost: web\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
    }),
    attack("chunk extensions without end", Answer::Refused(400), upload, |_| repeat(b";x=y")).with_whole_head(),
    attack("a chunk size without end", Answer::Refused(400), upload, |_| repeat(b"0")).with_whole_head(),
    attack(
        "trailers without end",
        Answer::Refused(400),
        || [upload(), b"0\r\n".to_vec()].concat(),
        |_| repeat(b"x: y\r\n"),
    )
    .with_whole_head(),
    attack("chunks that break off", Answer::End, || [upload(), b"ffff\r\nx".to_vec()].concat(), |_| Vec::new())
        .with_whole_head()
        .with_manner(Manner::BreaksOff),
    attack("pipelined requests, never read", Answer::Wanted, Vec::new, |_| {
        repeat(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
    })
    .with_whole_head()
    .with_manner(Manner::Deaf),
    attack("chunks of one byte", Answer::Wanted, upload, |_| repeat(b"1\r\nx\r\n")).with_whole_head(),
];

impl Attack {
    const fn with_whole_head(self) -> Self {
        Self { whole_head: true, ..self }
    }

    const fn with_manner(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }
}

/// A request whose body goes on, in chunks.
fn upload() -> Vec<u8> {
    b"POST / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}
