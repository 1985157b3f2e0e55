use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use tulle_core::name::ServiceRef;
use tulle_core::route::TrafficPolicy;
use tulle_core::snapshot::{Endpoint, Transport};

use super::*;
use crate::upstream::{Key, Way};

/// A view of endpoints at these ports, the turn with the first.
fn view(balance: Balance, ports: &[u16]) -> View {
    let address = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let endpoints = ports.iter().map(|port| Endpoint { address: address(port), transport: Transport::Mesh });
    let backend = Backend {
        service: ServiceRef::new("shop", "web"),
        subset: None,
        port: 80,
        policy: TrafficPolicy { balance, connect_timeout: None },
        identities: Arc::from([]),
        endpoints: endpoints.collect(),
    };
    let upstream = |port| Rc::new(Upstream::new(Key { address: address(port), way: Way::Mesh }));
    View::new(Arc::new(backend), ports.iter().map(upstream).collect(), 0)
}

fn tried(ports: &[u16]) -> Tried {
    ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect()
}

fn chosen(view: &View, draw: u64, not: &[u16]) -> u16 {
    view.endpoint(draw, &tried(not), Instant::now()).key.address.port()
}

#[test]
fn endpoints_take_turns() {
    let view = view(Balance::RoundRobin, &[1, 2, 3]);
    // The slowest as well: turns are turns.
    view.upstreams[1].load.observe(Duration::from_secs(5), Instant::now());
    assert_eq!([(); 7].map(|()| chosen(&view, 0, &[])), [1, 2, 3, 1, 2, 3, 1]);
    // The second attempt of a request is the next one's turn.
    assert_eq!([chosen(&view, 0, &[]), chosen(&view, 0, &[2]), chosen(&view, 0, &[])], [2, 3, 1]);
    assert_eq!([chosen(&view, 0, &[2]), chosen(&view, 0, &[])], [3, 1], "a turn that was tried is skipped");
}

#[test]
fn any_endpoint_is_drawn_as_often_as_the_others() {
    let view = view(Balance::Random, &[1, 2, 3]);
    view.upstreams[0].load.observe(Duration::from_secs(5), Instant::now());
    let mut random = fastrand::Rng::with_seed(7);
    let mut counts = BTreeMap::new();
    for _ in 0..30_000 {
        *counts.entry(chosen(&view, random.u64(..), &[])).or_insert(0_u32) += 1;
    }
    // The standard deviation is 82.
    assert!(counts.len() == 3 && counts.values().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
}

#[test]
fn the_busier_of_two_is_not_chosen() {
    let view = view(Balance::LeastRequest, &[1, 2]);
    view.upstreams[0].load.observe(Duration::from_secs(5), Instant::now());
    assert!((0..100).all(|draw| chosen(&view, draw << 32, &[]) == 2));
}

#[test]
fn none_is_tried_twice_unless_all_were() {
    for balance in [Balance::LeastRequest, Balance::RoundRobin, Balance::Random] {
        let view = view(balance, &[1, 2, 3]);
        for draw in (0..u64::MAX).step_by(usize::MAX / 997) {
            assert_eq!(chosen(&view, draw, &[1, 3]), 2, "{balance:?}, {draw}");
            assert!((1..=3).contains(&chosen(&view, draw, &[1, 2, 3])), "{balance:?}, {draw}");
        }
    }
}
