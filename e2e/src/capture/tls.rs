//! (pure) What a server agreed to in its first message (RFC 8446 §4.1.3).

/// The hybrid of X25519 and ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem §3).
pub const X25519_MLKEM768: u16 = 0x11ec;

/// The server's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version; 0x0304 is TLS 1.3.
    pub version: u16,
    /// Cipher suite; 0x1301 is TLS_AES_128_GCM_SHA256.
    pub cipher: u16,
    /// Key exchange group, where the server sent a share.
    pub group: Option<u16>,
}

const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

/// Reads the ServerHello at the start of what a server sent; `None` if it sent something else.
pub fn server_hello(sent: &[u8]) -> Option<Hello> {
    let mut record = Reader(sent);
    (record.u8()? == HANDSHAKE).then_some(())?;
    record.take(2)?; // legacy version of the record
    let length = usize::from(record.u16()?);
    let mut message = Reader(record.take(length)?);
    (message.u8()? == SERVER_HELLO).then_some(())?;
    message.take(3)?; // length of the message: the record holds it whole
    let legacy_version = message.u16()?;
    message.take(32)?; // random
    let session = usize::from(message.u8()?);
    message.take(session)?;
    let cipher = message.u16()?;
    message.take(1)?; // compression
    let length = usize::from(message.u16()?);
    let mut extensions = Reader(message.take(length)?);
    let mut hello = Hello { version: legacy_version, cipher, group: None };
    while let Some(kind) = extensions.u16() {
        let length = usize::from(extensions.u16()?);
        let mut extension = Reader(extensions.take(length)?);
        match kind {
            SUPPORTED_VERSIONS => hello.version = extension.u16()?,
            KEY_SHARE => hello.group = Some(extension.u16()?),
            _ => {}
        }
    }
    Some(hello)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_group_are_read() {
        let mut message = vec![SERVER_HELLO, 0, 0, 0, 3, 3];
        message.extend([7; 32]);
        message.extend([0, 0x13, 0x01, 0]); // no session, TLS_AES_128_GCM_SHA256, no compression
        message.extend([0, 14, 0, 43, 0, 2, 3, 4, 0, 51, 0, 4, 0x11, 0xec, 0, 0]);
        let mut record = vec![HANDSHAKE, 3, 3, 0, message.len() as u8];
        record.extend(&message);
        assert_eq!(
            server_hello(&record),
            Some(Hello { version: 0x0304, cipher: 0x1301, group: Some(X25519_MLKEM768) })
        );
        assert_eq!(server_hello(b"HTTP/1.1 200 OK\r\n\r\n"), None);
        assert_eq!(server_hello(&record[..20]), None);
    }
}
