//! The standing assertion: no connection between two meshed pods ever carries plaintext.
//!
//! The kernel of every node looks at the first payload bytes of each TCP connection it forwards between pods and notes
//! those that are not a TLS handshake. A census of pods, kept while the tests run, tells which of them were meshed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::{Cluster, Node};
use crate::command;
use crate::kubectl::Kubectl;

/// Mark of connections seen from their beginning; kube-proxy marks packets, never connections.
const OPENED: u32 = 0x7411_e001;
/// Mark of connections that were judged.
const JUDGED: u32 = 0x7411_e002;
/// Connections noted at most; one is a failure already.
const NOTED_MAX: usize = 4096;
/// What the census prints for every change of a pod.
const CENSUS: &str =
    r#"jsonpath={.status.podIP} {.metadata.labels.tulle\.dev/injected} {.metadata.namespace}/{.metadata.name}{"\n"}"#;

/// A pod that had an address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Resident {
    pod: String,
    meshed: bool,
}

type Census = BTreeMap<IpAddr, Resident>;

/// The watch over all nodes of a cluster.
pub struct PlaintextWatch {
    nodes: Vec<Node>,
    census: Arc<Mutex<Census>>,
    watch: Child,
}

impl PlaintextWatch {
    /// Programs the nodes and starts the census.
    pub fn start(cluster: &Cluster) -> Result<Self> {
        let nodes = cluster.nodes();
        let rules = rules(&cluster.addresses().all_pods(), &cluster.addresses().all_pods6());
        for node in &nodes {
            command::run_with_input(node.command("nft")?.args(["-f", "-"]), &rules)
                .context("cannot watch for plaintext")?;
        }
        let census = Arc::default();
        let watch = watch_pods(&cluster.kubectl(), Arc::clone(&census))?;
        Ok(Self { nodes, census, watch })
    }

    /// Connections between meshed pods since the last call that carried plaintext, as sentences.
    pub fn take(&self) -> Result<Vec<String>> {
        let mut leaks = BTreeSet::new();
        for node in &self.nodes {
            let listed = command::run(node.command("nft")?.args(["-j", "list", "table", "inet", "tulle_e2e"]))?;
            let listed: Value = serde_json::from_str(&listed).context("nft did not answer with JSON")?;
            let census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
            leaks.extend(noted(&listed).into_iter().filter_map(|connection| sentence(&connection, &census)));
            command::run(
                node.command("nft")?.args(["flush set inet tulle_e2e noted4; flush set inet tulle_e2e noted6"]),
            )?;
        }
        Ok(leaks.into_iter().collect())
    }

    /// Fails if meshed pods exchanged plaintext since the last look.
    pub fn expect_none(&self) -> Result<()> {
        let leaks = self.take()?;
        if leaks.is_empty() {
            return Ok(());
        }
        bail!("plaintext between meshed pods: {}", leaks.join("; "))
    }
}

impl Drop for PlaintextWatch {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        for node in &self.nodes {
            if let Ok(mut nft) = node.command("nft") {
                let _ = command::run(nft.args(["delete", "table", "inet", "tulle_e2e"]));
            }
        }
    }
}

/// The rule set. `@ih` is the payload of TCP; where a packet has none, a rule that looks at it does not match. (pure)
fn rules(pods: &str, pods6: &str) -> String {
    let mut rules = String::from("table inet tulle_e2e\ndelete table inet tulle_e2e\ntable inet tulle_e2e {\n");
    for (set, kind) in [("noted4", "ipv4_addr"), ("noted6", "ipv6_addr")] {
        let _ =
            writeln!(rules, "  set {set} {{ type {kind} . {kind} . inet_service; flags dynamic; size {NOTED_MAX}; }}");
    }
    rules += "  chain forward {\n    type filter hook forward priority 10; policy accept;\n";
    // A connection older than the rules is in the middle of its stream, where nothing tells TLS from other bytes.
    let _ = writeln!(
        rules,
        "    tcp flags & (syn | ack) == syn ct mark set {OPENED} return\n    ct mark != {OPENED} return"
    );
    for (family, pods, set) in [("ip", pods, "noted4"), ("ip6", pods6, "noted6")] {
        let between = format!("{family} saddr {pods} {family} daddr {pods}");
        let note =
            format!("update @{set} {{ {family} saddr . {family} daddr . tcp dport }} ct mark set {JUDGED} return");
        // RFC 8446 §5.1: a handshake record is type 22, and its version starts with 3.
        let _ = writeln!(rules, "    {between} @ih,0,16 0x1603 ct mark set {JUDGED} return");
        let _ = writeln!(rules, "    {between} @ih,0,8 != 0x16 {note}");
        let _ = writeln!(rules, "    {between} @ih,0,8 0x16 @ih,8,8 != 0x03 {note}");
    }
    rules + "  }\n}\n"
}

/// A connection noted by the rules: source, destination, destination port.
type Connection = (IpAddr, IpAddr, u64);

fn noted(listed: &Value) -> Vec<Connection> {
    let items = listed["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let elements = items.iter().filter_map(|item| item["set"]["elem"].as_array()).flatten();
    elements
        .filter_map(|element| {
            // An element with a timeout or counter is wrapped once more.
            let concat = element["concat"].as_array().or_else(|| element["elem"]["val"]["concat"].as_array())?;
            let [source, destination, port] = concat.as_slice() else { return None };
            Some((source.as_str()?.parse().ok()?, destination.as_str()?.parse().ok()?, port.as_u64()?))
        })
        .collect()
}

fn sentence((source, destination, port): &Connection, census: &Census) -> Option<String> {
    let (from, to) = (census.get(source)?, census.get(destination)?);
    (from.meshed && to.meshed).then(|| format!("{} to {} port {port}", from.pod, to.pod))
}

fn watch_pods(kubectl: &Kubectl, census: Arc<Mutex<Census>>) -> Result<Child> {
    let mut command = kubectl.command();
    command.args(["get", "pods", "--all-namespaces", "--watch", "--output", CENSUS]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("kubectl has no standard output")?).lines();
    // Ends with the process: when the watch is dropped.
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((address, resident)) = read_census(&line) {
                census.lock().unwrap_or_else(PoisonError::into_inner).insert(address, resident);
            }
        }
    });
    Ok(child)
}

fn read_census(line: &str) -> Option<(IpAddr, Resident)> {
    let mut words = line.split(' ');
    let (address, injected, pod) = (words.next()?, words.next()?, words.next()?);
    Some((address.parse().ok()?, Resident { pod: pod.to_owned(), meshed: injected == "true" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_census_reads_pods_with_and_without_proxy() {
        let read = |line| read_census(line).map(|(_, resident)| (resident.pod, resident.meshed));
        assert_eq!(read("198.18.128.4 true shop/web-1"), Some(("shop/web-1".into(), true)));
        assert_eq!(read("198.18.128.5  shop/db-0"), Some(("shop/db-0".into(), false)));
        assert_eq!(read("  shop/starting"), None, "no address yet");
    }

    #[test]
    fn only_plaintext_between_two_meshed_pods_counts() {
        let listed = serde_json::json!({"nftables": [{"set": {"name": "noted4", "elem": [
            {"concat": ["198.18.128.4", "198.18.128.5", 8080]},
            {"elem": {"val": {"concat": ["198.18.128.4", "198.18.128.6", 80]}}},
            {"concat": ["198.18.128.4", "198.18.128.7", 80]},
        ]}}]});
        let resident = |pod: &str, meshed| Resident { pod: pod.to_owned(), meshed };
        let census = Census::from([
            ("198.18.128.4".parse().expect("address"), resident("a/web", true)),
            ("198.18.128.5".parse().expect("address"), resident("a/shop", true)),
            ("198.18.128.6".parse().expect("address"), resident("a/db", false)),
        ]);
        let leaks: Vec<_> = noted(&listed).iter().filter_map(|connection| sentence(connection, &census)).collect();
        assert_eq!(leaks, ["a/web to a/shop port 8080"]);
    }
}
