//! Which connections are captured, as a value: [`RuleSet`] prints as nftables text and is what [`super::netlink`] sends.
//!
//! The order of the rules is the meaning. The proxy's own sockets leave by user id, so only the proxy may run as that user.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tulle_core::sidecar::{
    CAPTURE_PROBE_ADDRESS_V4, CAPTURE_PROBE_ADDRESS_V6, CAPTURE_PROBE_PORT, HEALTH_PORT, INBOUND_PORT, OUTBOUND_PORT,
    PROXY_UID,
};

/// Name of the one table, family `inet` (IPv4 and IPv6 in one; `nat` chains there need Linux 5.2).
pub(crate) const TABLE: &str = "tulle";
/// Priority `dstnat` of the netfilter hooks.
pub(crate) const PRIORITY: i32 = -100;

/// What the user excluded from capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Skip {
    /// Destination ports left alone on the way out.
    pub(crate) outbound_ports: Vec<PortRange>,
    /// Ports of the pod left alone on the way in.
    pub(crate) inbound_ports: Vec<PortRange>,
    /// Destination networks left alone on the way out.
    pub(crate) outbound_networks: Vec<IpNet>,
}

/// Ports from `first` to `last`, both included; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PortRange {
    /// Lowest port.
    pub(crate) first: u16,
    /// Highest port.
    pub(crate) last: u16,
}

/// The whole program for one network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleSet {
    /// Outbound, then inbound.
    pub(crate) chains: [Chain; 2],
}

/// One base chain of type `nat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Name within [`TABLE`].
    pub(crate) name: &'static str,
    /// Where in the packet's way.
    pub(crate) hook: Hook,
    /// First match decides.
    pub(crate) rules: Vec<Rule>,
}

/// Netfilter hooks in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Connections opened in this namespace.
    Output,
    /// Connections arriving from outside.
    Prerouting,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// All must hold.
    pub(crate) matches: Vec<Match>,
    /// What happens then.
    pub(crate) verdict: Verdict,
    /// Why the rule exists; stored with it in the kernel, and the name in errors.
    pub(crate) comment: &'static str,
}

/// A condition on the first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The socket's owner.
    SocketUser(u32),
    /// The socket's group.
    SocketGroup(u32),
    /// Arrives on the loopback interface.
    FromLoopback,
    /// Leaves by the loopback interface: loopback addresses and all addresses of this namespace are routed there.
    ToLoopback,
    /// The destination is in this network.
    Destination(IpNet),
    /// TCP to one of these ports.
    TcpPorts(PortRange),
    /// Any TCP.
    Tcp,
}

/// What a matching rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Leave the connection alone.
    Return,
    /// To this port of this namespace; the kernel keeps the original destination (`SO_ORIGINAL_DST`).
    Redirect(u16),
}

impl RuleSet {
    /// The rules for a pod with these exclusions. Same input, same rules.
    pub(crate) fn new(skip: &Skip) -> RuleSet {
        RuleSet {
            chains: [
                Chain { name: "outbound", hook: Hook::Output, rules: outbound(skip) },
                Chain { name: "inbound", hook: Hook::Prerouting, rules: inbound(skip) },
            ],
        }
    }
}

fn outbound(skip: &Skip) -> Vec<Rule> {
    let port = |port| Match::TcpPorts(PortRange { first: port, last: port });
    // First, so that the proxy itself can prove that capture works.
    let mut rules: Vec<Rule> = probe_addresses()
        .map(|address| {
            let matches = vec![Match::Destination(IpNet::from(address)), port(CAPTURE_PROBE_PORT)];
            Rule { matches, verdict: Verdict::Redirect(OUTBOUND_PORT), comment: "proof of capture" }
        })
        .into();
    let mut leave = |matches: Vec<Match>, comment| rules.push(Rule { matches, verdict: Verdict::Return, comment });
    leave(vec![Match::SocketUser(PROXY_UID)], "sockets of the proxy");
    leave(vec![Match::SocketGroup(PROXY_UID)], "sockets of the proxy's group");
    leave(vec![Match::ToLoopback], "loopback and own addresses");
    for network in &skip.outbound_networks {
        leave(vec![Match::Destination(network.trunc())], "skipped network");
    }
    for ports in &skip.outbound_ports {
        leave(vec![Match::TcpPorts(*ports)], "skipped port");
    }
    leave(vec![port(HEALTH_PORT)], "health port of other sidecars");
    rules.push(Rule { matches: vec![Match::Tcp], verdict: Verdict::Redirect(OUTBOUND_PORT), comment: "all other TCP" });
    rules
}

/// The capture ports themselves are not exempt: a dial to them from outside arrives at the inbound listener with one of the sidecar's own
/// ports as its destination, and is closed there. The outbound listener is never reachable from outside, so it is no open relay.
fn inbound(skip: &Skip) -> Vec<Rule> {
    let health = PortRange { first: HEALTH_PORT, last: HEALTH_PORT };
    let mut rules = Vec::with_capacity(3 + skip.inbound_ports.len());
    let mut leave =
        |condition, comment| rules.push(Rule { matches: vec![condition], verdict: Verdict::Return, comment });
    leave(Match::FromLoopback, "loopback and own addresses");
    leave(Match::TcpPorts(health), "own health port");
    for ports in &skip.inbound_ports {
        leave(Match::TcpPorts(*ports), "skipped port");
    }
    rules.push(Rule { matches: vec![Match::Tcp], verdict: Verdict::Redirect(INBOUND_PORT), comment: "all other TCP" });
    rules
}

/// The two addresses the proof of capture dials.
pub(crate) fn probe_addresses() -> [IpAddr; 2] {
    let v4: Ipv4Addr = CAPTURE_PROBE_ADDRESS_V4.parse().expect("a constant, checked by a test");
    let v6: Ipv6Addr = CAPTURE_PROBE_ADDRESS_V6.parse().expect("a constant, checked by a test");
    [v4.into(), v6.into()]
}

impl fmt::Display for RuleSet {
    /// The text `nft -f` accepts and `nft list table inet tulle` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {TABLE} {{")?;
        for (index, chain) in self.chains.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "\tchain {} {{", chain.name)?;
            // `nft` prints the name of a priority only where the name is defined for the hook.
            let priority = if chain.hook == Hook::Prerouting { "dstnat".to_owned() } else { PRIORITY.to_string() };
            writeln!(f, "\t\ttype nat hook {} priority {priority}; policy accept;", chain.hook)?;
            for rule in &chain.rules {
                writeln!(f, "\t\t{rule}")?;
            }
            writeln!(f, "\t}}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        write!(f, "{} comment \"{}\"", self.verdict, self.comment)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::SocketUser(id) => write!(f, "meta skuid {id}"),
            Match::SocketGroup(id) => write!(f, "meta skgid {id}"),
            Match::FromLoopback => write!(f, "iif \"lo\""),
            Match::ToLoopback => write!(f, "oif \"lo\""),
            Match::Destination(network) => {
                let family = if network.addr().is_ipv4() { "ip" } else { "ip6" };
                if network.prefix_len() == network.max_prefix_len() {
                    write!(f, "{family} daddr {}", network.addr())
                } else {
                    write!(f, "{family} daddr {network}")
                }
            }
            Match::TcpPorts(ports) => write!(f, "tcp dport {ports}"),
            Match::Tcp => write!(f, "meta l4proto tcp"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Return => write!(f, "return"),
            Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Output => "output",
            Hook::Prerouting => "prerouting",
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}
