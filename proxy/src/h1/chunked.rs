//! The chunked transfer coding, read strictly (RFC 9112 §7.1): what is forwarded is always framed anew, so no reader behind can
//! disagree with this one about where a message ends.

use super::BadMessage;

/// Hexadecimal digits of a chunk size: 16 are every `u64`.
const DIGITS_MAX: u8 = 16;
/// Bytes of chunk extensions in one message, which nobody uses and which are dropped.
const EXTENSIONS_MAX: u32 = 16 * 1024;
/// Bytes of a trailer section.
const TRAILERS_MAX: usize = 16 * 1024;

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk size of so many digits.
    Size {
        value: u64,
        digits: u8,
    },
    /// In blanks behind the size, which only an extension or the end of the line may follow.
    Blank {
        value: u64,
    },
    /// Behind the size, up to the end of its line.
    Extension {
        value: u64,
    },
    /// Before the line feed of the size's line.
    SizeEnd {
        value: u64,
    },
    /// In data, so many bytes to go.
    Data {
        left: u64,
    },
    /// Before the line end behind data.
    DataEnd,
    DataEndFeed,
    /// Behind the last chunk.
    Trailers,
    Done,
}

/// Decodes one message body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    state: State,
    extensions: u32,
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes of data.
    Data(usize),
    /// The message is over; so many bytes of trailer section, its empty line included, come first.
    End(usize),
    /// More input is needed.
    More,
}

impl Chunked {
    /// At the beginning of a body.
    pub(crate) const fn new() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, extensions: 0 }
    }

    /// Reads framing from the front of `input`: how many bytes of it to skip, and what follows them. A piece counts as used.
    ///
    /// # Errors
    /// The input is not chunked coding.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Piece), BadMessage> {
        let mut at = 0;
        loop {
            match self.state {
                State::Data { left } if at < input.len() => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
                    return Ok((at, Piece::Data(here)));
                }
                State::Trailers => {
                    let piece = trailers(&input[at..])?;
                    if piece != Piece::More {
                        self.state = State::Done;
                    }
                    return Ok((at, piece));
                }
                State::Done => return Ok((at, Piece::End(0))),
                _ => {}
            }
            let Some(&byte) = input.get(at) else { return Ok((at, Piece::More)) };
            self.state = self.step(byte)?;
            at += 1;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, BadMessage> {
        Ok(match (self.state, byte) {
            (State::Size { value, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == DIGITS_MAX {
                    return Err(BadMessage::new("a chunk size has more than 16 digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { value, digits: 1.. } | State::Blank { value }, b';') => State::Extension { value },
            (State::Size { value, digits: 1.. } | State::Blank { value } | State::Extension { value }, b'\r') => {
                State::SizeEnd { value }
            }
            (State::Size { value, digits: 1.. }, b' ' | b'\t') => State::Blank { value },
            (state @ State::Blank { .. }, b' ' | b'\t') => self.extended(state)?,
            (state @ State::Extension { .. }, byte) if byte == b'\t' || (byte >= b' ' && byte != 0x7f) => {
                self.extended(state)?
            }
            (State::SizeEnd { value: 0 }, b'\n') => State::Trailers,
            (State::SizeEnd { value }, b'\n') => State::Data { left: value },
            (State::DataEnd, b'\r') => State::DataEndFeed,
            (State::DataEndFeed, b'\n') => State::Size { value: 0, digits: 0 },
            (State::DataEnd | State::DataEndFeed, _) => {
                return Err(BadMessage::new("a chunk is longer than its size says"));
            }
            _ => return Err(BadMessage::new("a chunk size cannot be read")),
        })
    }

    /// One more byte after a size, within bounds.
    fn extended(&mut self, state: State) -> Result<State, BadMessage> {
        self.extensions += 1;
        if self.extensions > EXTENSIONS_MAX {
            return Err(BadMessage::new("chunk extensions are longer than 16 KiB"));
        }
        Ok(state)
    }
}

/// The whole trailer section, once its empty line is there.
fn trailers(input: &[u8]) -> Result<Piece, BadMessage> {
    if input.starts_with(b"\r\n") {
        return Ok(Piece::End(2));
    }
    if input.first().is_some_and(|byte| *byte == b'\n') {
        return Err(BadMessage::new("a line of the trailer section does not end with CRLF"));
    }
    match input.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => Ok(Piece::End(at + 4)),
        None if input.len() > TRAILERS_MAX => Err(BadMessage::new("the trailer section is longer than 16 KiB")),
        None => Ok(Piece::More),
    }
}

#[cfg(test)]
mod tests;
