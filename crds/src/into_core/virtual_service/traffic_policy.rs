//! How the endpoints of destinations are chosen and called.

use std::time::Duration;

use tulle_core::codes::Code;
use tulle_core::route::{Balance, TrafficPolicy};

use crate::into_core::error::{At, SpecError};
use crate::into_core::value::{duration, nothing_else};
use crate::virtual_service as written;

/// What is written of it. As in Istio, what a subset says of a field of `trafficPolicy` stands in place of all that its object says there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    balance: Option<Balance>,
    connect_timeout: Option<Option<Duration>>,
}

/// Least time for a connection (Istio: the same).
const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Reads the field `trafficPolicy`.
pub(super) fn traffic_policy(written: Option<&written::TrafficPolicy>) -> Result<Given, SpecError> {
    written.map(given).transpose().map(Option::unwrap_or_default).at("trafficPolicy")
}

impl Given {
    /// This, or where it says nothing `base`.
    pub(super) fn or(self, base: Given) -> Given {
        Given { balance: self.balance.or(base.balance), connect_timeout: self.connect_timeout.or(base.connect_timeout) }
    }

    /// The policy.
    pub(super) fn policy(self) -> TrafficPolicy {
        TrafficPolicy { balance: self.balance.unwrap_or_default(), connect_timeout: self.connect_timeout.flatten() }
    }
}

fn given(written: &written::TrafficPolicy) -> Result<Given, SpecError> {
    nothing_else(&written.rest)?;
    Ok(Given {
        balance: written.load_balancer.as_ref().map(balance).transpose().at("loadBalancer")?,
        connect_timeout: written.connection_pool.as_ref().map(connect_timeout).transpose().at("connectionPool")?,
    })
}

fn balance(written: &written::LoadBalancer) -> Result<Balance, SpecError> {
    nothing_else(&written.rest)?;
    match written.simple.as_deref() {
        None | Some("LEAST_REQUEST" | "LEAST_CONN" | "UNSPECIFIED") => Ok(Balance::LeastRequest),
        Some("ROUND_ROBIN") => Ok(Balance::RoundRobin),
        Some("RANDOM") => Ok(Balance::Random),
        Some(other) => {
            Err(SpecError::new(Code::InvalidValue, format!("{other:?} is no way to choose an endpoint here"))
                .remedy("use LEAST_REQUEST, ROUND_ROBIN or RANDOM")
                .under("simple"))
        }
    }
}

fn connect_timeout(written: &written::ConnectionPool) -> Result<Option<Duration>, SpecError> {
    nothing_else(&written.rest)?;
    let Some(tcp) = &written.tcp else { return Ok(None) };
    let read = || {
        nothing_else(&tcp.rest)?;
        let Some(written) = tcp.connect_timeout.as_deref() else { return Ok(None) };
        match duration(written).at("connectTimeout")? {
            limit if limit >= CONNECT_TIMEOUT_MIN => Ok(Some(limit)),
            _ => Err(SpecError::new(Code::InvalidValue, "is below 1ms, in which no connection opens")
                .remedy("give more, or remove it")
                .under("connectTimeout")),
        }
    };
    read().at("tcp")
}
