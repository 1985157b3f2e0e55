//! A request as it was passed on whole, once more for a mirror.

use std::io;
use std::task::{Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tulle_core::route::filter::mirror::shadow;

use super::body::Message;
use super::head::{self, Framing, RequestFacts, ResponseFacts, Switch};
use super::wire::Wire;
use crate::buffer::Buffer;
use crate::mirror::ANSWER_BYTES_MAX;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    bytes: Bytes,
    facts: RequestFacts,
}

impl Copy {
    /// The copy of a request that was read to its end and is still kept. A change of protocol is not copied: nobody would speak it.
    pub(super) fn of(request: &Message, facts: RequestFacts) -> Option<Self> {
        if facts.switch != Switch::No {
            return None;
        }
        Some(Self { bytes: with_shadow(request.whole()?).into(), facts })
    }

    /// Sends it and drops the answer. True: the connection can be used again.
    pub(crate) async fn exchange(&self, wire: &mut Wire) -> io::Result<bool> {
        wire.stream.write_all(&self.bytes).await?;
        wire.stream.flush().await?;
        let facts = self.answer(wire).await?;
        if facts.switched {
            return Ok(false);
        }
        let mut answer = Message::new(Buffer::new(), facts.framing, false, false);
        let mut limit = ANSWER_BYTES_MAX;
        let read = std::future::poll_fn(|cx| answer.poll_discard(cx, wire, &mut limit)).await;
        Ok(read.is_ok() && facts.keep_alive && facts.framing != Framing::Close && wire.input.is_empty())
    }

    /// The head of the final answer.
    async fn answer(&self, wire: &mut Wire) -> io::Result<ResponseFacts> {
        std::future::poll_fn(|cx| {
            loop {
                let read = head::response(wire.input.filled(), &self.facts, |head| head.facts);
                match read.map_err(io::Error::other)? {
                    Some((length, facts)) => {
                        wire.take_head(length);
                        if facts.unprocessed {
                            return Poll::Ready(Err(io::Error::other("its proxy did not reach the application")));
                        }
                        if facts.status >= 200 || facts.switched {
                            return Poll::Ready(Ok(facts));
                        }
                    }
                    None if ready!(wire.poll_fill(cx))? == 0 => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    None => {}
                }
            }
        })
        .await
    }
}

/// The request with the authority of a copy.
fn with_shadow(request: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"host:";
    let mut copy = Vec::with_capacity(request.len() + "-shadow".len());
    let mut rest = request;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        if line.len() <= 2 {
            break;
        }
        rest = after;
        let host = line.get(..NAME.len()).filter(|name| name.eq_ignore_ascii_case(NAME));
        match host.and_then(|_| std::str::from_utf8(&line[NAME.len()..]).ok()) {
            Some(authority) => {
                copy.extend_from_slice(b"host: ");
                copy.extend_from_slice(shadow(authority.trim()).as_bytes());
                copy.extend_from_slice(b"\r\n");
                break;
            }
            None => copy.extend_from_slice(line),
        }
    }
    copy.extend_from_slice(rest);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_the_head_changes() {
        let rows = [
            (
                "GET / HTTP/1.1\r\na: b\r\nHost: web:80\r\n\r\nhost: body\r\n",
                "GET / HTTP/1.1\r\na: b\r\nhost: web-shadow:80\r\n\r\nhost: body\r\n",
            ),
            ("GET / HTTP/1.1\r\na: b\r\n\r\nhost: body\r\n", "GET / HTTP/1.1\r\na: b\r\n\r\nhost: body\r\n"),
        ];
        for (request, copy) in rows {
            assert_eq!(String::from_utf8(with_shadow(request.as_bytes())).unwrap(), copy);
        }
    }
}
