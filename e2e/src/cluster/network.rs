//! The wires of a cluster: a bridge on the machine, a pair of interfaces to each node, and routes between nodes' pods.
//! Interfaces inside a node vanish with it, but only some time after its last process; so their ends on the machine are
//! removed here, with the bridge, or the next cluster would find their names taken.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Addresses;
use super::node::Node;
use super::state::State;
use crate::rooms::Room;
use crate::{command, wait};

/// Deleting an interface takes milliseconds.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(10);

/// Locally administered (IEEE 802). The next neighbour has the same, because nodes remember for a while which one an address had.
const NEIGHBOUR_MAC: &str = "02:74:75:6c:6c:65";

/// The bridge of the cluster with this index; interface names end at 15 bytes, so they carry the index, not the name.
fn bridge(index: u8) -> String {
    format!("tulle-b{index}")
}

/// The machine's end of the wire to a node.
fn wire(index: u8, number: u8) -> String {
    format!("tulle-{index}-{number}")
}

/// Makes the bridge and connects all nodes.
pub(super) fn create(state: &State, nodes: &[Node]) -> Result<()> {
    ip(Command::new("ip"), &machine_script(state.index, state.addresses()))
        .context("cannot make the cluster's bridge")?;
    for node in nodes {
        let number = node.number();
        ip(Command::new("ip"), &wire_script(state.index, number, node.init_pid()?))
            .with_context(|| format!("cannot connect node {} to the bridge", node.name()))?;
        let script = node_script(state.addresses(), number, state.nodes);
        ip(node.command("ip")?, &script)
            .with_context(|| format!("cannot set up the network of node {}", node.name()))?;
    }
    ip(Command::new("ip"), &machine_routes(state.addresses(), state.nodes))
        .context("cannot route to the cluster's pods")
}

/// Puts a room on the wire of the nodes, as a machine that is none of them, with a way to all pods. It leaves when the room goes.
pub(super) fn connect(state: &State, room: &Room) -> Result<()> {
    let (wire, bridge) = (format!("tulle-{}-n", state.index), bridge(state.index));
    let holder = room.holder();
    let script = format!(
        "link add {wire} type veth peer name eth0 address {NEIGHBOUR_MAC} netns {holder}\nlink set {wire} master {bridge}\nlink set {wire} up\n"
    );
    ip(Command::new("ip"), &script).context("cannot connect a neighbour to the bridge")?;
    room.ip(&neighbour_script(state.addresses(), state.nodes)).context("cannot set up the network of a neighbour")
}

fn neighbour_script(addresses: Addresses, nodes: u8) -> String {
    let [v4, v6] = addresses.neighbour();
    let mut script =
        format!("link set lo up\naddress add {v4}/24 dev eth0\naddress add {v6}/64 dev eth0 nodad\nlink set eth0 up\n");
    for number in 1..=nodes {
        script += &format!("route add {} via {}\n", addresses.pods(number), addresses.node(number));
        script += &format!("route add {} via {}\n", addresses.pods6(number), addresses.node6(number));
    }
    script
}

/// Removes the bridge and the machine's ends of the wires. It is no error if there are none.
pub(super) fn remove(index: u8) -> Result<()> {
    let wires = (1..=Addresses::MAX_NODES).map(|number| wire(index, number));
    wires.chain([bridge(index)]).try_for_each(|interface| {
        let path = Path::new("/sys/class/net").join(&interface);
        wait::uninterrupted(REMOVAL_DEADLINE, &format!("{interface} to go"), || {
            if path.exists() {
                // The kernel may be quicker, and then this fails; the next look finds it gone.
                command::run(Command::new("ip").args(["link", "delete", &interface]))?;
            }
            Ok(Some(()))
        })
    })
}

fn ip(mut command: Command, script: &str) -> Result<()> {
    command::run_with_input(command.args(["-batch", "-"]), script).map(drop)
}

fn machine_script(index: u8, addresses: Addresses) -> String {
    let (bridge, machine) = (bridge(index), addresses.machine());
    format!("link add {bridge} type bridge\naddress add {machine}/24 dev {bridge}\nlink set {bridge} up\n")
}

/// The machine reaches pods and cluster IPs; and what it answers to a pod goes back there, not to a default gateway.
/// The routes vanish with the bridge.
fn machine_routes(addresses: Addresses, nodes: u8) -> String {
    let mut script = format!("route add {} via {}\n", addresses.services(), addresses.node(1));
    for number in 1..=nodes {
        script += &format!("route add {} via {}\n", addresses.pods(number), addresses.node(number));
    }
    script
}

fn wire_script(index: u8, number: u8, init: i32) -> String {
    let (bridge, wire) = (bridge(index), wire(index, number));
    format!(
        "link add {wire} type veth peer name eth0 netns {init}\n\
         link set {wire} master {bridge}\n\
         link set {wire} up\n"
    )
}

/// Addresses of one node and its routes to the pods of the others. There is no default route, on purpose. Cluster IPs
/// have a route so that a packet to one is made at all; netfilter then turns it to an endpoint, or it dies in the node.
fn node_script(addresses: Addresses, number: u8, nodes: u8) -> String {
    let (node, node6) = (addresses.node(number), addresses.node6(number));
    let mut script = format!(
        "address add {node}/24 dev eth0\n\
         address add {node6}/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add {} dev lo src {node}\n\
         route add {} dev lo src {node6}\n",
        addresses.services(),
        addresses.services6(),
    );
    for other in (1..=nodes).filter(|other| *other != number) {
        script += &format!("route add {} via {}\n", addresses.pods(other), addresses.node(other));
        script += &format!("route add {} via {}\n", addresses.pods6(other), addresses.node6(other));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_the_kernel() {
        // IFNAMSIZ is 16 with the closing zero.
        assert!(bridge(Addresses::MAX_CLUSTERS - 1).len() < 16);
        assert!(wire(Addresses::MAX_CLUSTERS - 1, Addresses::MAX_NODES).len() < 16);
    }

    #[test]
    fn a_node_reaches_its_peers_and_nothing_else() {
        let script = node_script(Addresses::new(0), 2, 3);
        assert!(script.contains("route add 198.18.128.0/24 via 198.18.0.2\n"), "{script}");
        assert!(script.contains("route add 198.18.130.0/24 via 198.18.0.4\n"), "{script}");
        assert!(!script.contains("198.18.129.0"), "its own pods are routed one by one: {script}");
        assert!(!script.contains("default"), "{script}");
    }
}
