//! gRPC's status codes: their names, and what they are to callers that speak plain HTTP, and the other way round.

/// Names by number (gRPC "Status codes and their use in gRPC").
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The number of a status by its name.
pub fn by_name(name: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == name).and_then(|number| u32::try_from(number).ok())
}

/// What an HTTP status without a gRPC one means to a gRPC client (gRPC "HTTP to gRPC Status Code Mapping").
pub fn from_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// What a gRPC status is to a caller that knows none (`google/rpc/code.proto`).
pub fn to_http(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// Text as `grpc-message` carries it: printable ASCII, all else percent-encoded (gRPC over HTTP/2, "Status-Message").
pub fn message(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'%' | 0..0x20 | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            byte => encoded.push(char::from(*byte)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_by_name() {
        let rows = [
            ("OK", Some(0)),
            ("UNAVAILABLE", Some(14)),
            ("UNAUTHENTICATED", Some(16)),
            ("unavailable", None),
            ("14", None),
        ];
        for (name, number) in rows {
            assert_eq!(by_name(name), number, "{name}");
        }
    }

    #[test]
    fn every_status_has_a_counterpart() {
        for number in 0..17 {
            assert!((200..600).contains(&to_http(number)), "{number}");
        }
        for (http, grpc) in [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (503, 14), (200, 2), (500, 2)] {
            assert_eq!(from_http(http), grpc, "{http}");
        }
    }

    #[test]
    fn a_message_is_printable_ascii() {
        let rows = [("plain text", "plain text"), ("100 %", "100 %25"), ("a\nb", "a%0Ab"), ("ü", "%C3%BC")];
        for (text, encoded) in rows {
            assert_eq!(message(text.as_bytes()), encoded);
        }
    }
}
