//! Starting the components in the order that makes a node Ready soonest.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::pki::Pki;
use super::{Cluster, Component, Node, config};
use crate::components::{CNI, CONTAINERD, KUBERNETES, RUNC};
use crate::images::SystemImages;
use crate::wait;

/// A cold API server on a busy machine; two seconds on an idle one.
const API_DEADLINE: Duration = Duration::from_secs(90);
/// From the kubelet's start to a Ready node; two seconds on an idle machine.
const NODE_DEADLINE: Duration = Duration::from_secs(90);

fn pki(cluster: &Cluster) -> Pki {
    Pki::in_folder(cluster.folder.join("pki"))
}

/// Writes keys, certificates and kubeconfigs.
pub(super) fn prepare(cluster: &Cluster) -> Result<()> {
    let (pki, addresses) = (pki(cluster), cluster.addresses());
    pki.create(addresses, cluster.state.nodes)?;
    let nodes = cluster.nodes();
    let kubelets = nodes.iter().map(|node| format!("kubelet-{}", node.name()));
    let users =
        ["kube-controller-manager", "kube-scheduler", "kube-proxy"].map(str::to_owned).into_iter().chain(kubelets);
    for user in users {
        fs::write(kubeconfig(cluster, &user), config::kubeconfig(&pki, addresses, &user))?;
    }
    let embedded = config::kubeconfig_embedded(
        cluster.name(),
        addresses,
        &fs::read(pki.authority())?,
        &fs::read(pki.certificate("admin"))?,
        &fs::read(pki.key("admin"))?,
    );
    super::pki::write_secret(&cluster.kubeconfig(), &embedded)
}

fn kubeconfig(cluster: &Cluster, user: &str) -> PathBuf {
    cluster.folder.join(format!("pki/{user}.conf"))
}

/// Starts the store, the API server and, meanwhile, every node's container runtime.
pub(super) fn start_first(cluster: &Cluster, images: &SystemImages) -> Result<()> {
    let (tools, first) = (&cluster.tools, cluster.first_node());
    let program = |name: &str| tools.program(&KUBERNETES, name);
    let data = first.folder().join("etcd").display().to_string();
    first.launch(tools, Component::Etcd, program("etcd"), config::etcd(&data))?;
    let arguments = config::api_server(&pki(cluster), cluster.addresses());
    first.launch(tools, Component::ApiServer, program("kube-apiserver"), arguments)?;
    for node in cluster.nodes() {
        start_runtime(cluster, &node, images)?;
    }
    Ok(())
}

fn start_runtime(cluster: &Cluster, node: &Node, images: &SystemImages) -> Result<()> {
    let (tools, folder) = (&cluster.tools, node.folder());
    let runc = tools.program(&RUNC, "runc");
    let toml = config::containerd_toml(folder, tools.folder(&CNI), &runc, images.sandbox());
    let file = folder.join("containerd.toml");
    fs::write(&file, toml)?;
    fs::write(folder.join("cni/10-pods.conflist"), config::cni(folder, cluster.addresses(), node.number()))?;
    let arguments = config::containerd(&file.display().to_string());
    node.launch(tools, Component::Containerd, tools.program(&CONTAINERD, "containerd"), arguments)
}

/// Starts everything that talks to the API server.
pub(super) fn start_rest(cluster: &Cluster) -> Result<()> {
    let (tools, first) = (&cluster.tools, cluster.first_node());
    let program = |name: &str| tools.program(&KUBERNETES, name);
    let kubeconfig = |user: &str| kubeconfig(cluster, user).display().to_string();
    // Kubelets first: registering takes longest.
    for node in cluster.nodes() {
        start_kubelet(cluster, &node)?;
        let file = node.folder().join("kube-proxy.json");
        let user = cluster.folder.join("pki/kube-proxy.conf");
        fs::write(&file, config::kube_proxy_configuration(cluster.addresses(), &user))?;
        let arguments = config::kube_proxy(&file.display().to_string(), &node.name());
        node.launch(tools, Component::KubeProxy, program("kube-proxy"), arguments)?;
    }
    let arguments = config::controller_manager(&pki(cluster), &kubeconfig("kube-controller-manager"));
    first.launch(tools, Component::ControllerManager, program("kube-controller-manager"), arguments)?;
    first.launch(
        tools,
        Component::Scheduler,
        program("kube-scheduler"),
        config::scheduler(&kubeconfig("kube-scheduler")),
    )
}

fn start_kubelet(cluster: &Cluster, node: &Node) -> Result<()> {
    let (tools, folder, name) = (&cluster.tools, node.folder(), node.name());
    // Pods with dnsPolicy Default get an address where nothing listens: the machine's own resolver is out of reach.
    fs::write(folder.join("resolv.conf"), format!("nameserver {}\n", node.address()))?;
    let configuration =
        config::kubelet_configuration(&pki(cluster), cluster.addresses(), &name, node.number(), folder, &node.cgroup());
    let file = folder.join("kubelet.json");
    fs::write(&file, configuration)?;
    let (v4, v6) = (cluster.addresses().node(node.number()), cluster.addresses().node6(node.number()));
    let arguments = config::kubelet(
        &file.display().to_string(),
        &kubeconfig(cluster, &format!("kubelet-{name}")).display().to_string(),
        &folder.join("kubelet").display().to_string(),
        &name,
        [v4.to_string(), v6.to_string()],
    );
    node.launch(tools, Component::Kubelet, tools.program(&KUBERNETES, "kubelet"), arguments)
}

/// Waits until the API server says it is ready.
pub(super) fn wait_until_ready(cluster: &Cluster) -> Result<()> {
    let address = SocketAddr::from((cluster.addresses().node(1), 6443));
    let first = cluster.first_node();
    let ready = wait::until(API_DEADLINE, "the API server to be ready", || {
        if first.pid(Component::ApiServer)?.is_none() {
            anyhow::bail!("it is not running");
        }
        // Cheap looks first: starting kubectl costs more than the server needs.
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).context("it does not listen yet")?;
        cluster.kubectl().run(["get", "--raw", "/readyz"]).map(Some)
    });
    ready.map(drop).with_context(|| format!("see {}", first.log(Component::ApiServer).display()))
}

/// Waits until all nodes are Ready.
pub(super) fn wait_for_nodes(cluster: &Cluster) -> Result<()> {
    let ready = wait::until(NODE_DEADLINE, "all nodes to be Ready", || {
        let nodes = cluster.kubectl().get("nodes")?;
        let items = nodes["items"].as_array().context("a list of nodes without items")?;
        let is_ready = |node: &serde_json::Value| {
            let conditions = node["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        };
        Ok((items.iter().filter(|node| is_ready(node)).count() == usize::from(cluster.state.nodes)).then_some(()))
    });
    ready.with_context(|| format!("see {}", cluster.first_node().log(Component::Kubelet).display()))
}
