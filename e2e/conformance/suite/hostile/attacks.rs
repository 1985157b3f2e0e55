//! The attacks, as bytes: what a connection begins with, and what is then repeated.

use tulle_conformance::flood::repeat;
use tulle_conformance::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, block, bomb, field, frame, headers,
    request, reset, settings, window_update,
};

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2).
const INITIAL_WINDOW: u16 = 4;

/// How a sidecar must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// GOAWAY with ENHANCE_YOUR_CALM.
    Calm,
    /// The end of the connection, for whatever reason it names.
    End,
    /// Nothing has to end, as long as it costs little.
    Endured,
}

/// An attack.
#[derive(Clone, Copy)]
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) answer: Answer,
    /// Settings of the connection.
    pub(super) settings: &'static [(u16, u32)],
    /// Frames before the flood.
    pub(super) opening: fn() -> Vec<u8>,
    /// Frames of one burst; the number counts bursts of a connection from 0. Empty: the attacker waits.
    pub(super) burst: fn(u32) -> Vec<u8>,
}

const fn attack(name: &'static str, answer: Answer, opening: fn() -> Vec<u8>, burst: fn(u32) -> Vec<u8>) -> Attack {
    Attack { name, answer, settings: &[], opening, burst }
}

pub(super) const ATTACKS: &[Attack] = &[
    attack("ping flood", Answer::Calm, Vec::new, |_| repeat(&frame(PING, 0, 0, &[7; 8]))),
    attack("settings flood", Answer::Calm, Vec::new, |_| repeat(&settings(&[]))),
    attack("settings that change", Answer::Calm, Vec::new, |_| {
        repeat(&[settings(&[(INITIAL_WINDOW, 1)]), settings(&[(INITIAL_WINDOW, 65_535)])].concat())
    }),
    attack("priority flood", Answer::Calm, Vec::new, |_| repeat(&frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]))),
    attack("frames of unknown types", Answer::Calm, Vec::new, |_| repeat(&frame(0xfa, 0, 0, &[]))),
    attack("window updates that nobody needs", Answer::Calm, Vec::new, |_| repeat(&window_update(0, 1))),
    attack("empty DATA frames", Answer::Calm, upload, |_| repeat(&frame(DATA, 0, 1, &[]))),
    attack("padding alone", Answer::End, upload, |_| repeat(&frame(DATA, 8, 1, &[0]))),
    attack("rapid reset", Answer::Calm, Vec::new, |burst| {
        streams(burst, 500, |id| [headers(id, END_STREAM, &request("GET", "/")), reset(id, CANCEL)].concat())
    }),
    attack("rapid reset, one at a time", Answer::Calm, Vec::new, |burst| {
        streams(burst, 1, |id| [headers(id, END_STREAM, &request("GET", "/")), reset(id, CANCEL)].concat())
    }),
    attack("made-you-reset by a window update of 0", Answer::End, Vec::new, |burst| {
        streams(burst, 500, |id| [headers(id, END_STREAM, &request("GET", "/")), window_update(id, 0)].concat())
    }),
    attack("made-you-reset by a window beyond its end", Answer::End, Vec::new, |burst| {
        streams(burst, 500, |id| {
            [headers(id, END_STREAM, &request("GET", "/")), window_update(id, u32::MAX >> 1)].concat()
        })
    }),
    attack("made-you-reset by DATA after the end", Answer::End, Vec::new, |burst| {
        streams(burst, 500, |id| [headers(id, END_STREAM, &request("GET", "/")), frame(DATA, 0, id, b"x")].concat())
    }),
    attack("malformed requests", Answer::End, Vec::new, |burst| {
        let fields = [request("GET", "/"), vec![("connection", "close")]].concat();
        streams(burst, 500, |id| headers(id, END_STREAM, &fields))
    }),
    attack(
        "CONTINUATION flood",
        Answer::End,
        || frame(HEADERS, 0, 1, &block(&request("GET", "/"))),
        |_| repeat(&frame(CONTINUATION, 0, 1, &field("x", "y"))),
    ),
    attack(
        "CONTINUATION flood, empty",
        Answer::End,
        || frame(HEADERS, 0, 1, &block(&request("GET", "/"))),
        |_| repeat(&frame(CONTINUATION, 0, 1, &[])),
    ),
    attack("HPACK bomb", Answer::End, Vec::new, |burst| streams(burst, 4, hpack_bomb)),
    attack(
        "tiny window updates",
        Answer::Calm,
        || headers(1, END_STREAM, &request("GET", "/large")),
        |_| repeat(&window_update(1, 1)),
    )
    .with_settings(&[(INITIAL_WINDOW, 0)]),
    attack(
        "windows that never open",
        Answer::Endured,
        || streams(0, 500, |id| headers(id, END_STREAM, &request("GET", "/large"))),
        |_| Vec::new(),
    )
    .with_settings(&[(INITIAL_WINDOW, 0)]),
];

impl Attack {
    const fn with_settings(self, settings: &'static [(u16, u32)]) -> Self {
        Self { settings, ..self }
    }
}

/// A request whose body goes on.
fn upload() -> Vec<u8> {
    headers(1, 0, &request("POST", "/"))
}

/// `count` new streams.
fn streams(burst: u32, count: u32, frames: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|at| frames(2 * (burst * count + at) + 1)).collect()
}

/// A request with a block that grows.
fn hpack_bomb(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &bomb(&request("GET", "/")))
}
