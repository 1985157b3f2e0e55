//! What a rule does to the requests that fit it, wherever they go.

use std::time::Duration;

use crate::retry::RetryPolicy;

/// What happens to a request and its answer on the way. The default leaves both alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Limit for the whole answer; `None`: no limit.
    pub timeout: Option<Duration>,
    /// Repetition of failed attempts; `None`: never by this rule.
    pub retry: Option<RetryPolicy>,
}
