//! Trouble on purpose: requests that are held up, and requests that fail, before they leave the caller's proxy.
//!
//! A delay is over before the rule's timeout begins, and an abort is final: neither is a failure of the destination.

use std::time::Duration;

use super::percent::Percent;

/// What befalls which share of a rule's requests. Both are drawn, each on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// How long a request is held up.
    pub delay: Option<(Duration, Percent)>,
    /// How it fails, after the delay.
    pub abort: Option<(Abort, Percent)>,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// With this HTTP status, from 200 to 599.
    Http(u16),
    /// With this gRPC status.
    Grpc(u32),
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// It is held up for so long.
    pub delay: Option<Duration>,
    /// Then it fails.
    pub abort: Option<Abort>,
}

impl Fault {
    /// What befalls a request with these draws, each uniform over all of `u64`.
    pub fn inject(&self, delay_draw: u64, abort_draw: u64) -> Injected {
        Injected {
            delay: self.delay.filter(|(_, share)| share.covers(delay_draw)).map(|(delay, _)| delay),
            abort: self.abort.filter(|(_, share)| share.covers(abort_draw)).map(|(abort, _)| abort),
        }
    }
}

impl Abort {
    /// Status of the answer to a call that is not gRPC.
    pub fn http_status(self) -> u16 {
        match self {
            Abort::Http(status) => status,
            Abort::Grpc(status) => crate::grpc::to_http(status),
        }
    }

    /// Status of the answer to a gRPC call.
    pub fn grpc_status(self) -> u32 {
        match self {
            Abort::Http(status) => crate::grpc::from_http(status),
            Abort::Grpc(status) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_and_abort_are_drawn_independently() {
        let half = Percent::new(50.0).unwrap();
        let delay = Duration::from_secs(5);
        let fault = Fault { delay: Some((delay, half)), abort: Some((Abort::Http(503), half)) };
        let rows = [
            (0, 0, Some(delay), Some(Abort::Http(503))),
            (0, u64::MAX, Some(delay), None),
            (u64::MAX, 0, None, Some(Abort::Http(503))),
            (u64::MAX, u64::MAX, None, None),
        ];
        for (first, second, delay, abort) in rows {
            assert_eq!(fault.inject(first, second), Injected { delay, abort }, "{first} {second}");
        }
        assert_eq!(Fault::default().inject(0, 0), Injected::default());
        let never = Fault { delay: Some((delay, Percent::default())), abort: None };
        assert_eq!(never.inject(0, 0), Injected::default(), "without a percentage there is no fault");
    }

    #[test]
    fn each_caller_gets_a_status_of_its_protocol() {
        let rows = [
            (Abort::Http(503), 503, 14),
            (Abort::Http(200), 200, 2),
            (Abort::Grpc(14), 503, 14),
            (Abort::Grpc(5), 404, 5),
        ];
        for (abort, http, grpc) in rows {
            assert_eq!((abort.http_status(), abort.grpc_status()), (http, grpc), "{abort:?}");
        }
    }
}
