use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::cluster::Addresses;
use crate::cluster::pki::Pki;

fn pki() -> Pki {
    Pki::in_folder(PathBuf::from("/s/pki"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn command_lines() {
    let plan = Addresses::new(1);
    let rows = [
        (etcd("/s/etcd"), "--unsafe-no-fsync=true"),
        (api_server(&pki(), plan), "--advertise-address=198.18.1.2"),
        (api_server(&pki(), plan), "--service-cluster-ip-range=198.19.16.0/20,fd74:756c:6c65:1ff::/112"),
        (api_server(&pki(), plan), "--service-account-key-file=/s/pki/sa.pub"),
        (controller_manager(&pki(), "/s/k"), "--leader-elect=false"),
        (scheduler("/s/k"), "--leader-elect=false"),
        (containerd("/s/c.toml"), "--config=/s/c.toml"),
        (kubelet("/s/k", "/s/c", "/s/r", "n2", ["198.18.1.3".into(), "fd::3".into()]), "--node-ip=198.18.1.3,fd::3"),
        (kube_proxy("/s/p", "n2"), "--hostname-override=n2"),
    ];
    for (arguments, expected) in rows {
        assert!(arguments.iter().any(|argument| argument == expected), "{expected} is not in {arguments:?}");
    }
}

#[test]
fn kubeconfigs_name_files_or_hold_them() {
    let by_file = json(&kubeconfig(&pki(), Addresses::new(0), "kube-proxy"));
    assert_eq!(by_file["users"][0]["user"]["client-key"], "/s/pki/kube-proxy.key");
    assert_eq!(by_file["clusters"][0]["cluster"]["server"], "https://198.18.0.2:6443");
    let embedded = json(&kubeconfig_embedded("demo", Addresses::new(0), b"ca", b"crt", b"key"));
    assert_eq!(embedded["current-context"], "demo");
    assert_eq!(embedded["users"][0]["user"]["client-key-data"], "a2V5");
}

#[test]
fn the_kubelet_stays_in_its_folder_and_cgroup() {
    let text = kubelet_configuration(&pki(), Addresses::new(0), "n1", 1, Path::new("/s/n1"), "tulle-demo-n1");
    let kubelet = json(&text);
    assert_eq!(kubelet["cgroupRoot"], "/tulle-demo-n1");
    assert_eq!(kubelet["podLogsDir"], "/s/n1/pod-logs");
    assert_eq!(kubelet["clusterDNS"][0], "198.19.0.10");
    assert_eq!(kubelet["tlsCertFile"], "/s/pki/kubelet-n1.crt");
}

#[test]
fn containerd_knows_its_programs_and_its_sandbox() {
    let toml = containerd_toml(Path::new("/s/n1"), Path::new("/c/cni"), Path::new("/c/runc/runc"), "localhost/pause:1");
    for line in [
        "root = \"/s/n1/containerd\"",
        "sandbox = \"localhost/pause:1\"",
        "bin_dirs = [\"/c/cni\"]",
        "BinaryName = \"/c/runc/runc\"",
        "restrict_oom_score_adj = true",
    ] {
        assert!(toml.lines().any(|found| found == line), "{line} is not in\n{toml}");
    }
}

#[test]
fn kube_proxy_uses_nftables_and_leaves_the_connection_table_alone() {
    let proxy = json(&kube_proxy_configuration(Addresses::new(0), Path::new("/s/k")));
    assert_eq!(proxy["mode"], "nftables");
    assert_eq!(proxy["conntrack"]["maxPerCore"], 0);
    assert_eq!(proxy["clusterCIDR"], "198.18.128.0/21,fd74:756c:6c65::/56");
}

#[test]
fn pods_have_both_families() {
    let cni = json(&cni(Path::new("/s/n2"), Addresses::new(0), 2));
    let ranges = &cni["plugins"][0]["ipam"]["ranges"];
    assert_eq!(ranges[0][0]["subnet"], "198.18.129.0/24");
    assert_eq!(ranges[1][0]["subnet"], "fd74:756c:6c65:2::/64");
}
