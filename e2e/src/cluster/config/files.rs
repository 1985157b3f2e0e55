//! Contents of the configuration files. JSON is YAML, so what a component reads as YAML is written as JSON.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cluster::Addresses;
use crate::cluster::pki::Pki;

/// The socket of the container runtime; every node has a `/run` of its own.
const RUNTIME_SOCKET: &str = "/run/containerd/containerd.sock";

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A kubeconfig of the user whose key pair has the name `user`.
pub(crate) fn kubeconfig(pki: &Pki, addresses: Addresses, user: &str) -> String {
    let cluster = json!({"server": addresses.api_server(), "certificate-authority": pki.authority()});
    let credentials = json!({"client-certificate": pki.certificate(user), "client-key": pki.key(user)});
    text(&kubeconfig_of("tulle", &cluster, &credentials))
}

/// A kubeconfig that holds keys and certificates itself, so that it can be copied.
pub(crate) fn kubeconfig_embedded(
    name: &str,
    addresses: Addresses,
    authority: &[u8],
    certificate: &[u8],
    key: &[u8],
) -> String {
    let cluster = json!({"server": addresses.api_server(), "certificate-authority-data": STANDARD.encode(authority)});
    let credentials =
        json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)});
    text(&kubeconfig_of(name, &cluster, &credentials))
}

fn kubeconfig_of(name: &str, cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

/// kubelet.config.k8s.io/v1beta1, with the intervals of a small cluster that is watched by impatient tests.
pub(crate) fn kubelet_configuration(
    pki: &Pki,
    addresses: Addresses,
    node: &str,
    number: u8,
    folder: &Path,
    cgroup: &str,
) -> String {
    let certificate = format!("kubelet-{node}");
    text(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node(number),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.authority()},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki.certificate(&certificate),
        "tlsPrivateKeyFile": pki.key(&certificate),
        "clusterDomain": "cluster.local",
        "clusterDNS": [addresses.dns()],
        "resolvConf": folder.join("resolv.conf"),
        "containerRuntimeEndpoint": format!("unix://{RUNTIME_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        // Both versions of cgroups are fine, and swap is the machine's own business.
        "failCgroupV1": false,
        "failSwapOn": false,
        "podLogsDir": folder.join("pod-logs"),
        "maxPods": 250,
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "4s",
        // A test machine's disk may be nearly full; images are never fetched again, so none may be collected.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
    }))
}

/// kubeproxy.config.k8s.io/v1alpha1.
pub(crate) fn kube_proxy_configuration(addresses: Addresses, kubeconfig: &Path) -> String {
    text(&json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "nftables",
        "clusterCIDR": format!("{},{}", addresses.all_pods(), addresses.all_pods6()),
        // Endpoints of a test change all the time; by default changes are held back for a second.
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        // The size of the connection table is the machine's to choose.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }))
}

/// containerd's configuration, version 3.
pub(crate) fn containerd_toml(folder: &Path, cni_programs: &Path, runc: &Path, sandbox_image: &str) -> String {
    let (folder, cni_programs, runc) = (folder.display(), cni_programs.display(), runc.display());
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE a score cannot be lowered, and every sandbox would fail.
    format!(
        r#"version = 3
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{RUNTIME_SOCKET}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{sandbox_image}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{cni_programs}"]
conf_dir = "{folder}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"#
    )
}

/// The pod network of one node: a routed pair per pod (`ptp`), so that no bridge hides packets from netfilter.
pub(crate) fn cni(folder: &Path, addresses: Addresses, number: u8) -> String {
    text(&json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": addresses.pods(number)}], [{"subnet": addresses.pods6(number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                    "dataDir": folder.join("ipam"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"},
        ],
    }))
}
