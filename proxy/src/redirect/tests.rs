use std::path::Path;

use super::rules::{PortRange, RuleSet, Skip, probe_addresses};
use super::{RedirectError, refuse_host_network};

fn skip_all_kinds() -> Skip {
    Skip {
        outbound_ports: vec![PortRange { first: 22, last: 22 }, PortRange { first: 9000, last: 9100 }],
        inbound_ports: vec![PortRange { first: 2222, last: 2222 }],
        outbound_networks: ["10.9.0.0/16", "203.0.113.7/32", "fd00:9::/64", "0.0.0.0/0"]
            .map(|n| n.parse().unwrap())
            .into(),
    }
}

const PLAIN: &str = r#"table inet tulle {
	chain outbound {
		type nat hook output priority -100; policy accept;
		ip daddr 192.0.2.1 tcp dport 15999 redirect to :15001 comment "proof of capture"
		ip6 daddr 2001:db8::1 tcp dport 15999 redirect to :15001 comment "proof of capture"
		meta skuid 1337 return comment "sockets of the proxy"
		meta skgid 1337 return comment "sockets of the proxy's group"
		oif "lo" return comment "loopback and own addresses"
		tcp dport 15020 return comment "health port of other sidecars"
		meta l4proto tcp redirect to :15001 comment "all other TCP"
	}

	chain inbound {
		type nat hook prerouting priority dstnat; policy accept;
		iif "lo" return comment "loopback and own addresses"
		tcp dport 15020 return comment "own health port"
		meta l4proto tcp redirect to :15006 comment "all other TCP"
	}
}
"#;

#[test]
fn rules_without_exclusions() {
    assert_eq!(RuleSet::new(&Skip::default()).to_string(), PLAIN);
}

#[test]
fn exclusions_come_after_the_exemptions_and_before_the_redirect() {
    let text = RuleSet::new(&skip_all_kinds()).to_string();
    let added: Vec<&str> =
        text.lines().filter(|line| !PLAIN.lines().any(|plain| plain == *line)).map(str::trim).collect();
    assert_eq!(
        added,
        [
            r#"ip daddr 10.9.0.0/16 return comment "skipped network""#,
            r#"ip daddr 203.0.113.7 return comment "skipped network""#,
            r#"ip6 daddr fd00:9::/64 return comment "skipped network""#,
            r#"ip daddr 0.0.0.0/0 return comment "skipped network""#,
            r#"tcp dport 22 return comment "skipped port""#,
            r#"tcp dport 9000-9100 return comment "skipped port""#,
            r#"tcp dport 2222 return comment "skipped port""#,
        ]
    );
    let position = |needle: &str| text.find(needle).unwrap();
    assert!(position("oif \"lo\"") < position("10.9.0.0/16"));
    assert!(position("9000-9100") < position("redirect to :15001 comment \"all other TCP\""));
    assert!(position("own health port") < position("2222"));
}

#[test]
fn probe_addresses_parse() {
    let [v4, v6] = probe_addresses();
    assert!(v4.is_ipv4() && v6.is_ipv6());
}

#[test]
fn the_namespace_of_a_node_is_refused() {
    assert!(matches!(refuse_host_network(Path::new("/")), Err(RedirectError::HostNetwork)));
    assert!(refuse_host_network(Path::new("/no/such/file")).is_ok());
}
