//! The same as a span, in the names of OpenTelemetry's semantic conventions for HTTP.

use std::time::{Duration, SystemTime};

use super::Line;
use crate::metrics::Side;
use crate::spans::{Ended, Recording, Value, peer};

/// Methods that stand for themselves (RFC 9110 §9.3, RFC 5789); others are values without bound.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
const SERVER_FAULTS: [u32; 6] = [2, 4, 12, 13, 14, 15];

impl Line {
    /// Ends the span: it began `duration` ago, and `bytes` went there and came back.
    pub(super) fn end_span(&self, recording: &Recording, duration: Duration, bytes: (u64, u64)) {
        let ended = SystemTime::now();
        recording.spans.take(Ended {
            trace: recording.trace,
            side: self.side,
            name: self.span_name(),
            began: ended.checked_sub(duration).unwrap_or(ended),
            ended,
            attributes: self.attributes(bytes),
            failed: self.has_failed(),
        });
    }

    fn known_method(&self) -> Option<&'static str> {
        METHODS.into_iter().find(|method| *method == &*self.method)
    }

    /// Few names: no path is in them.
    fn span_name(&self) -> String {
        let method = self.known_method().unwrap_or("HTTP");
        if self.service.is_empty() { method.to_owned() } else { format!("{method} {}", self.service) }
    }

    /// A server's span fails by what the server did, a client's also by what it asked ("HTTP Spans", "gRPC", status).
    fn has_failed(&self) -> bool {
        let (status, grpc) = match self.side {
            Side::Client => (self.status >= 400, self.grpc_status.is_some_and(|status| status != 0)),
            Side::Server => {
                (self.status >= 500, self.grpc_status.is_some_and(|status| SERVER_FAULTS.contains(&status)))
            }
        };
        self.failure.is_some() || status || grpc
    }

    fn attributes(&self, (sent, received): (u64, u64)) -> Vec<(&'static str, Value)> {
        let mut all: Vec<(&'static str, Value)> = Vec::with_capacity(20);
        let mut text = |name, value: &str| {
            if !value.is_empty() {
                all.push((name, value.into()));
            }
        };
        text("http.request.method", self.known_method().unwrap_or("_OTHER"));
        if self.known_method().is_none() {
            text("http.request.method_original", &self.method);
        }
        text("url.path", &self.path);
        text("url.scheme", "http");
        text("server.address", &self.authority);
        text("network.protocol.version", self.protocol.trim_start_matches("HTTP/"));
        text("tulle.peer", &self.peer);
        text("tulle.service", &self.service);
        text("tulle.route", self.route.as_deref().unwrap_or_default());
        text("tulle.backend", &self.backend);
        text("tulle.request_id", &self.request_id);
        match &self.failure {
            Some((reason, code, id)) => {
                text("error.type", reason.as_str());
                text("tulle.code", code.as_str());
                text("tulle.failure_id", &id.map(|id| id.to_string()).unwrap_or_default());
            }
            None if self.has_failed() => {
                let grpc = self.grpc_status.filter(|status| *status != 0);
                text("error.type", &grpc.unwrap_or(self.status.into()).to_string());
            }
            None => {}
        }
        let mut number = |name, value: u64| all.push((name, value.into()));
        if self.status > 0 {
            number("http.response.status_code", self.status.into());
        }
        if let Some(status) = self.grpc_status {
            number("rpc.response.status_code", status.into());
        }
        if self.attempts > 1 {
            number("http.request.resend_count", self.attempts - 1);
        }
        number("http.request.body.size", sent);
        number("http.response.body.size", received);
        all.push(("tulle.mtls", Value::Flag(self.mtls)));
        let other = if self.side == Side::Client { self.endpoint } else { self.caller };
        all.extend(other.into_iter().flat_map(peer));
        all
    }
}
