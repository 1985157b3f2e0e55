//! The redirect against the real kernel: the real binary programs a network namespace, and real connections show what is captured.

#[path = "support/netns.rs"]
mod netns;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use netns::Namespace;
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
use tulle_core::sidecar::{HEALTH_PORT, INBOUND_PORT, OUTBOUND_PORT, PROXY_UID, env};

/// Longest wait for a connection or an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs `tulle-proxy redirect` inside.
fn redirect(pod: &Namespace) -> Output {
    pod.run(command)
}

fn command() -> Output {
    Command::new(env!("CARGO_BIN_EXE_tulle-proxy"))
        .arg("redirect")
        .env(env::SKIP_OUTBOUND_PORTS, "22,9000-9100")
        .env(env::SKIP_INBOUND_PORTS, "2222")
        .env(env::SKIP_OUTBOUND_NETWORKS, "10.77.0.0/24,fd77::/64")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the binary runs")
}

/// Listens inside and tells each caller who it reached and which destination the kernel remembers.
fn listen(namespace: &Namespace, name: &'static str, ports: &'static [u16]) {
    namespace.run(move || {
        for &port in ports {
            let listener = TcpListener::bind(("::", port)).expect("a free port in a fresh namespace");
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = stream.expect("a connection");
                    let _ = stream.write_all(format!("{name} {}", original(&stream)).as_bytes());
                }
            });
        }
    });
}

/// `SO_ORIGINAL_DST` of either family, or the plain local address in a namespace without any redirect, where the kernel tracks nothing.
/// A dual-stack socket shows IPv4 peers as mapped addresses.
fn original(stream: &TcpStream) -> SocketAddr {
    let local = stream.local_addr().expect("connected");
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    if local.is_ipv4() {
        ip_original_dst(stream).map_or(local, SocketAddr::V4)
    } else {
        ipv6_original_dst(stream).map_or(local, SocketAddr::V6)
    }
}

/// Who answers at this address.
fn ask(address: SocketAddr) -> String {
    let mut stream = match TcpStream::connect_timeout(&address, DEADLINE) {
        Ok(stream) => stream,
        Err(cause) => return cause.to_string(),
    };
    stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => answer,
        Err(cause) => cause.to_string(),
    }
}

/// A pod and a peer on one cable, both families, with the redirect installed in the pod.
fn pod_and_peer() -> (Namespace, Namespace) {
    let (pod, peer) = (Namespace::new(), Namespace::new());
    pod.join(&peer);
    for (end, last) in [(&pod, 2), (&peer, 1)] {
        end.ip(&format!("addr add 10.0.0.{last}/24 dev eth0"));
        end.ip(&format!("addr add fd00::{last}/64 dev eth0 nodad"));
    }
    peer.ip("addr add 10.77.0.1/24 dev eth0");
    peer.ip("addr add fd77::1/64 dev eth0 nodad");
    pod.ip("route add default via 10.0.0.1");
    pod.ip("-6 route add default via fd00::1");
    let output = redirect(&pod);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    listen(&pod, "outbound", &[OUTBOUND_PORT]);
    listen(&pod, "inbound", &[INBOUND_PORT]);
    listen(&pod, "app", &[8080, 2222, HEALTH_PORT]);
    listen(&peer, "peer", &[80, 22, 9050, HEALTH_PORT]);
    (pod, peer)
}

#[test]
fn connections_of_the_pod_are_captured_but_for_the_exemptions() {
    let (pod, _peer) = pod_and_peer();
    const ROOT: (u32, u32) = (0, 0);
    const PROXY: (u32, u32) = (PROXY_UID, PROXY_UID);
    let table = [
        ("a peer", ROOT, "10.0.0.1:80", "outbound 10.0.0.1:80"),
        ("a peer, IPv6", ROOT, "[fd00::1]:80", "outbound [fd00::1]:80"),
        ("a port nobody listens on", ROOT, "10.0.0.1:81", "outbound 10.0.0.1:81"),
        ("an address that is routed nowhere", ROOT, "198.51.100.7:443", "outbound 198.51.100.7:443"),
        ("another user", (1000, 1000), "10.0.0.1:80", "outbound 10.0.0.1:80"),
        ("the proxy itself", PROXY, "10.0.0.1:80", "peer 10.0.0.1:80"),
        ("the proxy itself, IPv6", PROXY, "[fd00::1]:80", "peer [fd00::1]:80"),
        ("the proxy's group", (0, PROXY_UID), "10.0.0.1:80", "peer 10.0.0.1:80"),
        ("the proof of capture by the proxy", PROXY, "192.0.2.1:15999", "outbound 192.0.2.1:15999"),
        ("the proof of capture, IPv6", PROXY, "[2001:db8::1]:15999", "outbound [2001:db8::1]:15999"),
        ("loopback", ROOT, "127.0.0.1:8080", "app 127.0.0.1:8080"),
        ("loopback, IPv6", ROOT, "[::1]:8080", "app [::1]:8080"),
        ("the pod's own address", ROOT, "10.0.0.2:8080", "app 10.0.0.2:8080"),
        ("the pod's own address, IPv6", ROOT, "[fd00::2]:8080", "app [fd00::2]:8080"),
        ("a skipped port", ROOT, "10.0.0.1:22", "peer 10.0.0.1:22"),
        ("a port in a skipped range, IPv6", ROOT, "[fd00::1]:9050", "peer [fd00::1]:9050"),
        ("a skipped network", ROOT, "10.77.0.1:80", "peer 10.77.0.1:80"),
        ("a skipped network, IPv6", ROOT, "[fd77::1]:80", "peer [fd77::1]:80"),
        ("the health port of a peer", ROOT, "10.0.0.1:15020", "peer 10.0.0.1:15020"),
    ];
    for (case, (uid, gid), address, expected) in table {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(pod.run_as(uid, gid, move || ask(address)), expected, "{case}");
    }
}

#[test]
fn connections_to_the_pod_are_captured_but_for_the_exemptions() {
    let (_pod, peer) = pod_and_peer();
    let table = [
        ("the application", 8080, "inbound"),
        ("a port nobody listens on", 8081, "inbound"),
        ("a skipped port", 2222, "app"),
        ("the health port", HEALTH_PORT, "app"),
        ("the outbound listener is no open relay", OUTBOUND_PORT, "inbound"),
        ("the inbound listener itself", INBOUND_PORT, "inbound"),
    ];
    for (case, port, who) in table {
        for ip in ["10.0.0.2", "fd00::2"] {
            let address = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
            assert_eq!(peer.run(move || ask(address)), format!("{who} {address}"), "{case}");
        }
    }
}

#[test]
fn a_second_run_replaces_the_rules_of_the_first() {
    let (pod, _peer) = pod_and_peer();
    for _ in 0..3 {
        assert!(redirect(&pod).status.success());
    }
    let address = "10.0.0.1:80".parse().unwrap();
    assert_eq!(pod.run(move || ask(address)), "outbound 10.0.0.1:80");
}

#[test]
fn without_the_capability_it_says_so() {
    let pod = Namespace::new();
    let output = pod.run_as(PROXY_UID, PROXY_UID, command);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("needs NET_ADMIN"), "{complaint}");
}
