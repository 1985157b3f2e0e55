//! (pure) Who has which address. All IPv4 lies in 198.18.0.0/15 (RFC 2544: benchmarks, never routed), all IPv6 in one
//! unique local prefix (RFC 4193). Clusters side by side share nothing, so that they can be joined later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address plan of the cluster with one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    index: u8,
}

/// `fd` and the letters of "tulle".
const PREFIX6: [u16; 3] = [0xfd74, 0x756c, 0x6c65];

impl Addresses {
    /// Clusters side by side: the Service half of the range gives a /20 to each.
    pub const MAX_CLUSTERS: u8 = 16;
    /// Nodes of one cluster: the pod quarter of the range gives a /21 to a cluster and a /24 to a node.
    pub const MAX_NODES: u8 = 8;

    /// The plan of cluster `index`, below [`Addresses::MAX_CLUSTERS`].
    pub(crate) fn new(index: u8) -> Self {
        debug_assert!(index < Self::MAX_CLUSTERS);
        Self { index }
    }

    /// The machine's own address on the cluster's bridge.
    pub fn machine(self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.index, 1)
    }

    /// Address of node `number`, counted from 1.
    pub fn node(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.index, number + 1)
    }

    /// IPv6 address of node `number`.
    pub fn node6(self, number: u8) -> Ipv6Addr {
        self.ipv6(0, u16::from(number) + 1)
    }

    /// Addresses of the neighbour: a machine on the wire of the nodes that is none of them.
    pub fn neighbour(self) -> [IpAddr; 2] {
        [Ipv4Addr::new(198, 18, self.index, 200).into(), self.ipv6(0, 200).into()]
    }

    /// Pods of node `number`.
    pub fn pods(self, number: u8) -> String {
        format!("{}/24", Ipv4Addr::new(198, 18, 128 + self.index * Self::MAX_NODES + (number - 1), 0))
    }

    /// IPv6 addresses of the pods of node `number`.
    pub fn pods6(self, number: u8) -> String {
        format!("{}/64", self.ipv6(u16::from(number), 0))
    }

    /// Pods of all nodes.
    pub fn all_pods(self) -> String {
        format!("{}/21", Ipv4Addr::new(198, 18, 128 + self.index * Self::MAX_NODES, 0))
    }

    /// IPv6 addresses of the pods of all nodes (and of the nodes: a /56 holds a cluster).
    pub fn all_pods6(self) -> String {
        format!("{}/56", self.ipv6(0, 0))
    }

    /// Cluster IPs of Services.
    pub fn services(self) -> String {
        format!("{}/20", self.service(0))
    }

    /// IPv6 cluster IPs of Services; /112 because the API server refuses ranges much larger.
    pub fn services6(self) -> String {
        format!("{}/112", self.ipv6(0xff, 0))
    }

    /// The `kubernetes` Service, always the first address of the range.
    pub fn api_service(self) -> Ipv4Addr {
        self.service(1)
    }

    /// The cluster's DNS, by custom the tenth.
    pub fn dns(self) -> Ipv4Addr {
        self.service(10)
    }

    /// The API server as everyone reaches it.
    pub fn api_server(self) -> String {
        format!("https://{}:6443", self.node(1))
    }

    fn service(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 19, self.index * 16, host)
    }

    fn ipv6(self, subnet: u16, host: u16) -> Ipv6Addr {
        let [a, b, c] = PREFIX6;
        Ipv6Addr::new(a, b, c, u16::from(self.index) << 8 | subnet, 0, 0, 0, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cluster_has_the_usual_addresses() {
        let first = Addresses::new(0);
        assert_eq!(first.machine().to_string(), "198.18.0.1");
        assert_eq!(first.api_server(), "https://198.18.0.2:6443");
        assert_eq!(first.pods(1), "198.18.128.0/24");
        assert_eq!(first.services(), "198.19.0.0/20");
        assert_eq!(first.dns().to_string(), "198.19.0.10");
        assert_eq!(first.node6(1).to_string(), "fd74:756c:6c65::2");
        assert_eq!(first.services6(), "fd74:756c:6c65:ff::/112");
    }

    #[test]
    fn no_two_clusters_or_nodes_share_a_subnet() {
        let mut subnets = std::collections::HashSet::new();
        for index in 0..Addresses::MAX_CLUSTERS {
            let plan = Addresses::new(index);
            assert!(subnets.insert(format!("{}/24", plan.machine())));
            assert!(subnets.insert(plan.services()));
            assert!(subnets.insert(plan.services6()));
            for node in 1..=Addresses::MAX_NODES {
                assert!(subnets.insert(plan.pods(node)));
                assert!(subnets.insert(plan.pods6(node)));
            }
        }
        assert_eq!(Addresses::new(15).pods(8), "198.18.255.0/24", "the last subnet ends where the range ends");
    }
}
