//! Command lines of the components.

use crate::cluster::Addresses;
use crate::cluster::pki::Pki;

/// Requests per second a controller may send: the defaults (20–50) are for large shared clusters and make a small one wait.
const QPS: &str = "500";
/// And in one burst.
const BURST: &str = "1000";
/// Where etcd listens: in the node's own namespace only.
const ETCD: &str = "http://127.0.0.1:2379";

fn flags<const N: usize>(pairs: [(&str, &str); N]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

/// etcd without fsync: a crash of the machine loses the cluster, which is no loss, and writes are twice as fast.
pub(crate) fn etcd(data: &str) -> Vec<String> {
    flags([
        ("data-dir", data),
        ("unsafe-no-fsync", "true"),
        ("listen-client-urls", ETCD),
        ("advertise-client-urls", ETCD),
        ("listen-peer-urls", "http://127.0.0.1:2380"),
        ("log-level", "warn"),
    ])
}

/// The API server, on all addresses of the first node.
pub(crate) fn api_server(pki: &Pki, addresses: Addresses) -> Vec<String> {
    flags([
        ("etcd-servers", ETCD),
        ("advertise-address", &addresses.node(1).to_string()),
        ("bind-address", "0.0.0.0"),
        ("secure-port", "6443"),
        ("tls-cert-file", &pki.certificate("kube-apiserver")),
        ("tls-private-key-file", &pki.key("kube-apiserver")),
        ("client-ca-file", &pki.authority()),
        ("kubelet-client-certificate", &pki.certificate("apiserver-kubelet")),
        ("kubelet-client-key", &pki.key("apiserver-kubelet")),
        ("kubelet-certificate-authority", &pki.authority()),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-key-file", &pki.certificate("sa").replace(".crt", ".pub")),
        ("service-account-signing-key-file", &pki.key("sa")),
        ("service-cluster-ip-range", &format!("{},{}", addresses.services(), addresses.services6())),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
    ])
}

/// All controllers; one replica needs no leader election, which costs a lease and 15 s after a restart.
pub(crate) fn controller_manager(pki: &Pki, kubeconfig: &str) -> Vec<String> {
    flags([
        ("kubeconfig", kubeconfig),
        ("leader-elect", "false"),
        ("use-service-account-credentials", "true"),
        ("service-account-private-key-file", &pki.key("sa")),
        ("root-ca-file", &pki.authority()),
        ("cluster-signing-cert-file", &pki.authority()),
        ("cluster-signing-key-file", &pki.key("ca")),
        ("kube-api-qps", QPS),
        ("kube-api-burst", BURST),
    ])
}

/// The scheduler.
pub(crate) fn scheduler(kubeconfig: &str) -> Vec<String> {
    flags([("kubeconfig", kubeconfig), ("leader-elect", "false"), ("kube-api-qps", QPS), ("kube-api-burst", BURST)])
}

/// The container runtime.
pub(crate) fn containerd(configuration: &str) -> Vec<String> {
    flags([("config", configuration)])
}

/// The node agent.
pub(crate) fn kubelet(
    configuration: &str,
    kubeconfig: &str,
    root: &str,
    node: &str,
    addresses: [String; 2],
) -> Vec<String> {
    flags([
        ("config", configuration),
        ("kubeconfig", kubeconfig),
        ("root-dir", root),
        ("hostname-override", node),
        ("node-ip", &addresses.join(",")),
        ("v", "2"),
    ])
}

/// Cluster IPs.
pub(crate) fn kube_proxy(configuration: &str, node: &str) -> Vec<String> {
    flags([("config", configuration), ("hostname-override", node), ("v", "2")])
}
