//! When a failed attempt is repeated. Decides from outcomes alone: no clock, no request.

use std::time::Duration;

/// Most attempts after the first that a rule may ask for: beyond it a retry storm costs more than it saves.
pub const ATTEMPTS_MAX: u32 = 10;

/// How often, on what, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first, at most [`ATTEMPTS_MAX`]; 0 is never.
    pub attempts: u32,
    /// Limit of each attempt; `None`: the rule's timeout alone.
    pub per_try_timeout: Option<Duration>,
    /// What counts as a failure.
    pub on: RetryOn,
    /// Pause before the second attempt, doubled before each further one.
    pub backoff: Duration,
    /// Whether an attempt may leave the locality of the one before.
    pub remote_localities: bool,
    /// Whether an attempt goes elsewhere than those before, as long as there is somewhere else.
    pub elsewhere: bool,
}

impl Default for RetryPolicy {
    /// Never; the rest is what peers assume where a policy says no more.
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 0,
            per_try_timeout: None,
            on: RetryOn::default(),
            backoff: Duration::from_millis(25),
            remote_localities: false,
            elsewhere: true,
        }
    }
}

impl RetryPolicy {
    /// Whether another attempt is due after `done` attempts, the last of which ended so.
    ///
    /// Whether the request can be sent again at all (its body is still at hand, its method safe) is for the caller to know.
    pub fn again(&self, done: u32, outcome: Outcome) -> bool {
        done <= self.attempts && self.on.covers(outcome)
    }
}

/// How an attempt ended, as far as retries care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this HTTP status.
    Status(u16),
    /// An answer with this gRPC status.
    Grpc(u32),
    /// No connection: nothing was sent.
    ConnectFailed,
    /// Refused before processing: `REFUSED_STREAM`, or above the last stream of a GOAWAY (RFC 9113 §8.7).
    RefusedStream,
    /// Ended by the destination before an answer.
    Reset,
    /// The attempt ran out of time.
    Timeout,
}

/// A set of conditions, in the words of Istio's `retryOn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOn {
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    ServerError,
    GatewayError,
    Reset,
    ResetBeforeRequest,
    ConnectFailure,
    RefusedStream,
    Conflict,
    Grpc(u32),
    Status(u16),
}

impl Default for RetryOn {
    /// Failures after which nothing was processed, and gRPC's own "try again" (peers use the same list).
    fn default() -> RetryOn {
        let conditions = vec![
            Condition::ConnectFailure,
            Condition::RefusedStream,
            Condition::Grpc(14), // UNAVAILABLE
            Condition::Grpc(1),  // CANCELLED
        ];
        RetryOn { conditions }
    }
}

impl RetryOn {
    /// Reads a comma-separated list.
    ///
    /// # Errors
    /// The first word that is no condition.
    pub fn parse(list: &str) -> Result<RetryOn, String> {
        let conditions = list
            .split(',')
            .map(str::trim)
            // The codes it announces stand beside it.
            .filter(|word| *word != "retriable-status-codes")
            .map(|word| Condition::parse(word).ok_or_else(|| word.to_string()))
            .collect::<Result<_, _>>()?;
        Ok(RetryOn { conditions })
    }

    /// Whether an outcome counts as a failure.
    pub fn covers(&self, outcome: Outcome) -> bool {
        self.conditions.iter().any(|condition| condition.covers(outcome))
    }
}

impl Condition {
    fn parse(word: &str) -> Option<Condition> {
        Some(match word {
            "5xx" => Condition::ServerError,
            "gateway-error" => Condition::GatewayError,
            "reset" => Condition::Reset,
            "reset-before-request" => Condition::ResetBeforeRequest,
            "connect-failure" => Condition::ConnectFailure,
            "refused-stream" => Condition::RefusedStream,
            "retriable-4xx" => Condition::Conflict,
            "cancelled" => Condition::Grpc(1),
            "deadline-exceeded" => Condition::Grpc(4),
            "resource-exhausted" => Condition::Grpc(8),
            "internal" => Condition::Grpc(13),
            "unavailable" => Condition::Grpc(14),
            _ => Condition::Status(error_status(word)?),
        })
    }

    fn covers(self, outcome: Outcome) -> bool {
        let no_answer =
            matches!(outcome, Outcome::ConnectFailed | Outcome::RefusedStream | Outcome::Reset | Outcome::Timeout);
        match self {
            // Without an answer the caller would see a 503 or 504 of the mesh: these count as well.
            Condition::ServerError => no_answer || matches!(outcome, Outcome::Status(500..=599)),
            Condition::GatewayError => no_answer || matches!(outcome, Outcome::Status(502..=504)),
            Condition::Reset => no_answer,
            Condition::ResetBeforeRequest => matches!(outcome, Outcome::ConnectFailed | Outcome::RefusedStream),
            Condition::ConnectFailure => outcome == Outcome::ConnectFailed,
            Condition::RefusedStream => outcome == Outcome::RefusedStream,
            Condition::Conflict => outcome == Outcome::Status(409),
            Condition::Grpc(status) => outcome == Outcome::Grpc(status),
            Condition::Status(status) => outcome == Outcome::Status(status),
        }
    }
}

/// An HTTP error status in its one spelling.
fn error_status(word: &str) -> Option<u16> {
    let status: u16 = word.parse().ok()?;
    ((400..600).contains(&status) && status.to_string() == word).then_some(status)
}

#[cfg(test)]
mod tests;
