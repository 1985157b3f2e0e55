//! How the endpoints of a destination are chosen and called.

use std::time::Duration;

/// What a VirtualService asks of the calls to a destination (Istio: `DestinationRule.trafficPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficPolicy {
    /// Which endpoint is next.
    pub balance: Balance,
    /// Limit for opening a connection, TLS included; `None`: the proxy's own.
    pub connect_timeout: Option<Duration>,
}

/// How an endpoint is chosen among those of a backend. Each data thread of each proxy chooses for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Balance {
    /// The better of two drawn at random, by requests under way and latency.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}
