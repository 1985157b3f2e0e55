//! The echo protocol both ends speak over gRPC: `message Echo { string id = 1; string name = 2; bool closing = 3; }`,
//! framed as gRPC says (one flag byte, four length bytes, the message).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Path of the unary method.
pub(crate) const UNARY: &str = "/echo.Echo/Unary";
/// Path of the server-streaming method: answers the one message [`STREAMED`] times.
pub(crate) const STREAM: &str = "/echo.Echo/Stream";
/// Path of the bidirectional method: answers each message with one.
pub(crate) const CHAT: &str = "/echo.Echo/Chat";
/// Answers of the server-streaming method.
pub(crate) const STREAMED: usize = 3;

/// Largest message taken; an id and a name need a hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
const FRAME_HEADER_BYTES: usize = 5;

/// Protobuf tags: field number and wire type (2 = length-delimited, 0 = varint).
const ID_TAG: u8 = (1 << 3) | 2;
const NAME_TAG: u8 = (2 << 3) | 2;
const CLOSING_TAG: u8 = 3 << 3;

/// One message in either direction.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Message {
    /// The request id.
    pub(crate) id: String,
    /// Who answers; empty in a request.
    #[serde(default)]
    pub(crate) name: String,
    /// The server is about to leave: send nothing more on this stream.
    #[serde(default)]
    pub(crate) closing: bool,
}

impl Message {
    /// The message with its gRPC frame header.
    pub(crate) fn frame(&self) -> Bytes {
        let mut body = BytesMut::new();
        for (tag, text) in [(ID_TAG, &self.id), (NAME_TAG, &self.name)] {
            if !text.is_empty() {
                body.put_u8(tag);
                put_varint(&mut body, text.len() as u64);
                body.put_slice(text.as_bytes());
            }
        }
        if self.closing {
            body.put_slice(&[CLOSING_TAG, 1]);
        }
        let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + body.len());
        frame.put_u8(0); // not compressed
        frame.put_u32(body.len() as u32);
        frame.put(body);
        frame.freeze()
    }

    fn decode(mut body: Bytes) -> Result<Self, BadFrame> {
        let mut message = Self::default();
        while body.has_remaining() {
            match body.get_u8() {
                ID_TAG => message.id = text(&mut body)?,
                NAME_TAG => message.name = text(&mut body)?,
                CLOSING_TAG => message.closing = varint(&mut body)? != 0,
                _ => return Err(BadFrame("unknown field")),
            }
        }
        Ok(message)
    }
}

/// Bytes that are no frame of ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadFrame(pub(crate) &'static str);

/// Cuts a byte stream into messages.
#[derive(Default)]
pub(crate) struct Deframer(BytesMut);

impl Deframer {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    /// The next whole message, if one has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, BadFrame> {
        let Some(header) = self.0.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let [flag, a, b, c, d] = *header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag != 0 {
            return Err(BadFrame("compressed"));
        }
        if length > MESSAGE_BYTES_MAX {
            return Err(BadFrame("too long"));
        }
        if self.0.len() < FRAME_HEADER_BYTES + length {
            return Ok(None);
        }
        self.0.advance(FRAME_HEADER_BYTES);
        Message::decode(self.0.split_to(length).freeze()).map(Some)
    }
}

fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

fn varint(buffer: &mut Bytes) -> Result<u64, BadFrame> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = buffer.try_get_u8().map_err(|_| BadFrame("cut short"))?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(BadFrame("varint too long"))
}

fn text(buffer: &mut Bytes) -> Result<String, BadFrame> {
    let length = varint(buffer)? as usize;
    if length > buffer.len() {
        return Err(BadFrame("cut short"));
    }
    String::from_utf8(buffer.split_to(length).into()).map_err(|_| BadFrame("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let sent = Message { id: "run-7".into(), name: "v".repeat(200), closing: true };
        let bytes = [sent.frame(), Message::default().frame()].concat();
        for cut in 0..bytes.len() {
            let mut deframer = Deframer::default();
            let mut got = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                deframer.push(part);
                while let Some(message) = deframer.next().expect("well formed") {
                    got.push(message);
                }
            }
            assert_eq!(got, [sent.clone(), Message::default()], "cut at {cut}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        let mut deframer = Deframer::default();
        deframer.push(&[1, 0, 0, 0, 0]);
        assert_eq!(deframer.next(), Err(BadFrame("compressed")));
        let mut deframer = Deframer::default();
        deframer.push(&[0, 0, 0, 0, 2, ID_TAG, 9]);
        assert_eq!(deframer.next(), Err(BadFrame("cut short")));
    }
}
