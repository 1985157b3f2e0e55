//! The proof against the real kernel, in namespaces of its own.

#[path = "../../tests/support/netns.rs"]
mod netns;

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use netns::Namespace;
use tulle_core::sidecar::{OUTBOUND_PORT, PROXY_UID};

use super::*;
use crate::redirect::{self, Skip};

const BOTH: [Family; 2] = [Family::V4, Family::V6];

/// A pod with both families and default routes.
fn pod() -> (Namespace, Namespace) {
    let (pod, peer) = (Namespace::new(), Namespace::new());
    pod.join(&peer);
    for (end, last) in [(&pod, 2), (&peer, 1)] {
        end.ip(&format!("addr add 10.0.0.{last}/24 dev eth0"));
        end.ip(&format!("addr add fd00::{last}/64 dev eth0 nodad"));
    }
    pod.ip("route add default via 10.0.0.1");
    pod.ip("-6 route add default via fd00::1");
    (pod, peer)
}

/// The proof as the proxy's own user, which the redirect exempts otherwise.
fn prove_inside(pod: &Namespace) -> Result<(), CaptureError> {
    pod.run_as(PROXY_UID, PROXY_UID, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(prove(&BOTH.into()))
    })
}

fn listen(pod: &Namespace, greeting: &'static [u8]) {
    pod.run(move || {
        let listener = TcpListener::bind(("::", OUTBOUND_PORT)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.unwrap().write_all(greeting);
            }
        });
    });
}

#[test]
fn a_redirect_to_a_listening_proxy_is_proven() {
    let (pod, _peer) = pod();
    pod.run(|| redirect::install(&Skip::default())).unwrap();
    let refused = prove_inside(&pod).unwrap_err().to_string();
    assert!(refused.contains("IPv4 traffic of this pod is not captured") && refused.contains("refused"), "{refused}");
    listen(&pod, GREETING);
    prove_inside(&pod).unwrap();
}

#[test]
fn without_the_redirect_nothing_is_proven() {
    let (pod, _peer) = pod();
    listen(&pod, GREETING);
    let refused = prove_inside(&pod).unwrap_err().to_string();
    assert!(refused.contains("must lead to the proxy, but"), "{refused}");
}

#[test]
fn a_stranger_at_the_listener_is_no_proof() {
    let (pod, _peer) = pod();
    pod.run(|| redirect::install(&Skip::default())).unwrap();
    listen(&pod, b"HTTP/1.1 200 OK\r\n\r\n");
    let refused = prove_inside(&pod).unwrap_err().to_string();
    assert!(refused.contains("something else than the proxy answered"), "{refused}");
}

#[test]
fn only_the_probe_addresses_are_the_proof() {
    let table = [
        ("192.0.2.1", true),
        ("2001:db8::1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.2", false),
        ("127.0.0.1", false),
    ];
    for (address, expected) in table {
        assert_eq!(is_probe(address.parse().unwrap()), expected, "{address}");
    }
}

#[test]
fn each_family_of_the_pod_is_proven_once() {
    let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
    assert_eq!(families(&ips(&["10.0.0.1"])), [Family::V4].into());
    assert_eq!(families(&ips(&["10.0.0.1", "fd00::1", "10.0.0.2"])), [Family::V4, Family::V6].into());
    assert_eq!(families(&[]), BTreeSet::new());
}
