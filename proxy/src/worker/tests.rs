use tulle_core::authz::PolicySet;
use tulle_core::name::ServiceRef;
use tulle_core::route::RouteTable;
use tulle_core::route::bytes::ByteTable;
use tulle_core::snapshot::{Endpoint, Protocol, Transport};
use tulle_core::split::Split;

use super::*;
use crate::testing::direct;

#[test]
fn where_bytes_may_go_is_kept_over_a_change_of_the_world() {
    let to = |address: &str| {
        let endpoint = Endpoint { address: address.parse().unwrap(), transport: Transport::Mesh };
        direct(endpoint.address, vec![endpoint], "spiffe://cluster.local/ns/shop/sa/web")
    };
    let rule = |to| vec![ByteRule { name: "rule".into(), matches: Vec::new(), to: Some(Split::single(to)) }];
    let port = Port {
        number: 443,
        protocol: Protocol::Tls,
        routes: RouteTable::default(),
        bytes: ByteTable { tls: rule(to("10.0.0.2:443")), tcp: rule(to("10.0.0.3:443")) },
        direct: to("10.0.0.1:443"),
    };
    let service = Arc::new(Service { name: ServiceRef::new("shop", "web"), ports: vec![port] });
    let targets = [(IpAddr::from([10, 96, 0, 1]), Target::Service(service))].into_iter().collect();
    let live = Live::of(&Snapshot { generation: 1, targets, policies: Arc::new(PolicySet::default()) });
    let mut addresses: Vec<_> = live.addresses.iter().map(ToString::to_string).collect();
    addresses.sort();
    assert_eq!(addresses, ["10.0.0.1:443", "10.0.0.2:443", "10.0.0.3:443"]);
}
