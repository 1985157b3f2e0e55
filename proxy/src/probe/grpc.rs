//! `grpc` probes: `grpc.health.v1.Health/Check` over HTTP/2 without TLS, as KEP-2727 defines. The two messages are small enough to be
//! written by hand, so no protobuf library is carried.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// A `HealthCheckResponse` has three bytes; more room than this would only serve a hostile answer.
const ANSWER_BYTES: usize = 4 * 1024;
/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// One call on a fresh connection.
pub(super) async fn check(stream: TcpStream, address: SocketAddr, service: &str) -> Result<(), String> {
    let broken = |cause: hyper::Error| format!("the application broke the gRPC exchange: {cause}");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(broken)?;
    let call = async {
        let answer = sender.send_request(request(address, service)).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("the application answered HTTP {} to a gRPC call", head.status.as_u16()));
        }
        let collected = Limited::new(body, ANSWER_BYTES)
            .collect()
            .await
            .map_err(|cause| format!("the application broke the gRPC exchange: {cause}"))?;
        // A call without messages carries its status in the head ("Trailers-Only").
        let status = collected.trailers().and_then(grpc_status).or_else(|| grpc_status(&head.headers));
        judge(status, &collected.to_bytes())
    };
    // Dropping the connection closes it: nothing is kept between probes.
    let mut call = std::pin::pin!(call);
    tokio::select! {
        biased;
        verdict = &mut call => verdict,
        ended = connection => {
            ended.map_err(broken)?;
            call.await
        }
    }
}

fn request(address: SocketAddr, service: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, super::USER_AGENT)
        .body(Full::new(encode(service)))
        .expect("an address and constants make a valid request")
}

/// `HealthCheckRequest { string service = 1; }` with the five-byte prefix of gRPC: not compressed, length.
fn encode(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a); // field 1, length-delimited
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(
        u32::try_from(message.len()).expect("the name came from a pod's specification, which is far below 4 GiB"),
    );
    bytes.extend_from_slice(&message);
    bytes.freeze()
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn judge(status: Option<u32>, body: &[u8]) -> Result<(), String> {
    match status {
        Some(0) => {}
        Some(12) => return Err("the application does not implement grpc.health.v1.Health".to_owned()),
        Some(5) => return Err("the application does not know the service of this probe".to_owned()),
        Some(code) => return Err(format!("the health call ended with gRPC status {code}")),
        None => return Err("the health call ended without a gRPC status".to_owned()),
    }
    match serving_status(body) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(format!("the application reports serving status {other}, not SERVING")),
        None => Err("the answer to the health call cannot be read".to_owned()),
    }
}

/// `HealthCheckResponse { ServingStatus status = 1; }`; an absent field is 0, unknown fields are skipped (protobuf encoding guide).
fn serving_status(body: &[u8]) -> Option<u64> {
    let (&0, rest) = body.split_first()? else { return None };
    let (length, message) = rest.split_at_checked(4)?;
    let mut message = message.get(..u32::from_be_bytes(length.try_into().ok()?) as usize)?;
    let mut status = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match key & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(bytes: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        bytes.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.put_u8(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_encoded_as_protobuf() {
        assert_eq!(&encode("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode("db")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        let long = encode(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 308);
    }

    #[test]
    fn answers_are_read_as_protobuf() {
        let table: [(&str, &[u8], Option<u64>); 9] = [
            ("serving", &[0, 0, 0, 0, 2, 8, 1], Some(1)),
            ("not serving", &[0, 0, 0, 0, 2, 8, 2], Some(2)),
            ("default", &[0, 0, 0, 0, 0], Some(0)),
            ("unknown fields around", &[0, 0, 0, 0, 8, 0x12, 2, 9, 9, 8, 1, 0x18, 7], Some(1)),
            ("compressed", &[1, 0, 0, 0, 2, 8, 1], None),
            ("empty", &[], None),
            ("cut", &[0, 0, 0, 0, 2, 8], None),
            ("endless varint", &[0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], None),
            ("length beyond the message", &[0, 0, 0, 0, 2, 0x12, 9], None),
        ];
        for (case, body, expected) in table {
            assert_eq!(serving_status(body), expected, "{case}");
        }
    }

    #[test]
    fn only_status_0_with_serving_is_healthy() {
        let serving = [0, 0, 0, 0, 2, 8, 1];
        assert_eq!(judge(Some(0), &serving), Ok(()));
        for status in [Some(5), Some(12), Some(14), None] {
            assert!(judge(status, &serving).is_err(), "{status:?}");
        }
        assert!(judge(Some(0), &[0, 0, 0, 0, 2, 8, 2]).unwrap_err().contains("serving status 2"));
    }
}
