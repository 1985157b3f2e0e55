//! What connections turned out to carry where nobody had declared it.

use super::Side;
use super::cells::Count;
use crate::http::Version;
use crate::http::sniff::Guess;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detected {
    /// The hello of a proxy of the mesh; what is inside, its ALPN says.
    Mesh,
    /// HTTP/1, by its method.
    Http1,
    /// HTTP/2 with prior knowledge, by its preface, or by the server's.
    Http2,
    /// Anything else of a client that speaks first.
    Bytes,
    /// The server spoke first.
    ServerFirst,
    /// One side closed before anybody spoke, or was silent for too long.
    Silent,
}

impl Detected {
    /// All, in the order of the counters.
    pub(crate) const ALL: [Self; 6] =
        [Self::Mesh, Self::Http1, Self::Http2, Self::Bytes, Self::ServerFirst, Self::Silent];

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
            Self::Bytes => "bytes",
            Self::ServerFirst => "server-first",
            Self::Silent => "silent",
        }
    }
}

impl From<Guess> for Detected {
    fn from(guess: Guess) -> Self {
        match guess {
            Guess::Http(Version::H1) => Self::Http1,
            Guess::Http(Version::H2) => Self::Http2,
            Guess::Bytes => Self::Bytes,
        }
    }
}

/// Connections of a data thread by what was found, for each side.
#[derive(Debug, Default)]
pub(crate) struct Detections([[Count; Detected::ALL.len()]; 2]);

impl Detections {
    /// Counts a connection.
    pub(crate) fn count(&self, side: Side, detected: Detected) {
        self.0[side as usize][detected as usize].add(1);
    }

    /// How many there were.
    pub(crate) fn get(&self, side: Side, detected: Detected) -> u64 {
        self.0[side as usize][detected as usize].get()
    }
}
