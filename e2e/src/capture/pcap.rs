//! (pure) From a pcap file to the bytes of each direction of each TCP connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail};

/// Little-endian pcap with microseconds (draft-ietf-opsawg-pcap §4), as written on the machines this runs on.
const MAGIC: u32 = 0xa1b2_c3d4;
const FILE_HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 16;
const TCP: u8 = 6;

/// Who sends to whom.
pub type Endpoints = (SocketAddr, SocketAddr);

/// The bytes of each direction, in order.
#[derive(Debug, Default)]
pub struct Streams(pub BTreeMap<Endpoints, Vec<u8>>);

impl Streams {
    /// Whether `needle` was sent in any direction of any connection.
    pub fn contain(&self, needle: &[u8]) -> bool {
        self.0.values().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    }

    /// Bytes seen altogether.
    pub fn bytes(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// Reads a capture of all interfaces.
pub(super) fn streams(file: &[u8]) -> Result<Streams> {
    let header = file.get(..FILE_HEADER_BYTES).context("the capture has no header")?;
    if u32_le(header, 0) != MAGIC {
        bail!("the capture is no little-endian pcap file");
    }
    // LINKTYPE_LINUX_SLL and its second version: the headers of packets captured on "any".
    let (link_header, protocol_at) = match u32_le(header, 20) & 0xffff {
        113 => (16, 14),
        276 => (20, 0),
        other => bail!("link type {other} is not that of a capture on all interfaces"),
    };
    let mut segments: BTreeMap<Endpoints, Segments> = BTreeMap::new();
    let mut rest = &file[FILE_HEADER_BYTES..];
    // The last record may be cut off where the capture was stopped.
    while let Some(length) = rest.get(..RECORD_HEADER_BYTES).map(|record| u32_le(record, 8) as usize) {
        let Some(packet) = rest.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + length) else { break };
        rest = &rest[RECORD_HEADER_BYTES + length..];
        let protocol = packet.get(protocol_at..protocol_at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        if let (Some(protocol), Some(network)) = (protocol, packet.get(link_header..))
            && let Some((endpoints, segment)) = segment(protocol, network)
        {
            segments.entry(endpoints).or_default().add(segment);
        }
    }
    Ok(Streams(segments.into_iter().map(|(endpoints, segments)| (endpoints, segments.bytes())).collect()))
}

struct Segment<'a> {
    sequence: u32,
    syn: bool,
    payload: &'a [u8],
}

/// Segments by their distance from the first byte, so that repeats (every packet is seen on two interfaces) fall together.
#[derive(Default)]
struct Segments {
    first: Option<u32>,
    parts: BTreeMap<u32, Vec<u8>>,
}

impl Segments {
    fn add(&mut self, segment: Segment<'_>) {
        // RFC 9293 §3.4: the SYN itself takes one number.
        let start = if segment.syn { segment.sequence.wrapping_add(1) } else { segment.sequence };
        let first = *self.first.get_or_insert(start);
        let distance = start.wrapping_sub(first);
        // Older than the first seen (half the number space back): a repeat of what came before the capture.
        if !segment.payload.is_empty() && distance < u32::MAX / 2 {
            let part = self.parts.entry(distance).or_default();
            if part.len() < segment.payload.len() {
                *part = segment.payload.to_vec();
            }
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        for (start, part) in self.parts {
            let overlap = bytes.len().saturating_sub(start as usize);
            bytes.extend_from_slice(part.get(overlap..).unwrap_or_default());
        }
        bytes
    }
}

fn segment(protocol: u16, network: &[u8]) -> Option<(Endpoints, Segment<'_>)> {
    let (source, destination, transport) = match protocol {
        0x0800 => ipv4(network)?,
        0x86dd => ipv6(network)?,
        _ => return None,
    };
    let header_bytes = usize::from(*transport.get(12)? >> 4) * 4;
    let port = |at: usize| Some(u16::from_be_bytes([*transport.get(at)?, *transport.get(at + 1)?]));
    let endpoints = (SocketAddr::new(source, port(0)?), SocketAddr::new(destination, port(2)?));
    let sequence = u32::from_be_bytes(transport.get(4..8)?.try_into().ok()?);
    Some((
        endpoints,
        Segment { sequence, syn: transport.get(13)? & 0x02 != 0, payload: transport.get(header_bytes..)? },
    ))
}

fn ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let address = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?)));
    (*packet.get(9)? == TCP).then_some((address(12)?, address(16)?, packet.get(header_bytes..total)?))
}

/// TCP directly behind the fixed header; pods send no extension headers.
fn ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let payload = usize::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?));
    let address = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?)));
    (*packet.get(6)? == TCP).then_some((address(8)?, address(24)?, packet.get(40..40 + payload)?))
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
        let mut tcp = [0x1f, 0x90, 0x00, 0x50].to_vec();
        tcp.extend(sequence.to_be_bytes());
        tcp.extend([0, 0, 0, 0, 5 << 4, u8::from(syn) << 1, 0, 0, 0, 0, 0, 0]);
        tcp.extend(payload);
        let mut ip = vec![0x45, 0];
        ip.extend(((20 + tcp.len()) as u16).to_be_bytes());
        ip.extend([0, 0, 0, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        ip.extend(tcp);
        let mut link = vec![0x08, 0x00];
        link.extend([0; 18]);
        link.extend(ip);
        let mut record = vec![0; 8];
        record.extend((link.len() as u32).to_le_bytes());
        record.extend((link.len() as u32).to_le_bytes());
        record.extend(link);
        record
    }

    #[test]
    fn streams_are_put_in_order_and_repeats_dropped() {
        let mut file = MAGIC.to_le_bytes().to_vec();
        file.extend([0; 16]);
        file.extend(276_u32.to_le_bytes());
        let wrap = u32::MAX - 2; // sequence numbers run over within the stream
        for record in [
            packet(wrap, true, b""),
            packet(2, false, b"ld"),
            packet(wrap + 1, false, b"wor"),
            packet(wrap + 1, false, b"wor"),
        ] {
            file.extend(record);
        }
        file.extend([0; 7]); // a record cut short
        let streams = streams(&file).expect("a capture");
        assert_eq!(streams.0.values().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>(), ["world"]);
        assert!(streams.contain(b"orl"));
        assert!(!streams.contain(b"word"));
    }
}
