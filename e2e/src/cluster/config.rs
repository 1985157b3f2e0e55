//! (pure) The configuration of every component: names and addresses in, arguments and file contents out.

mod arguments;
mod files;

pub(super) use arguments::{api_server, containerd, controller_manager, etcd, kube_proxy, kubelet, scheduler};
pub(super) use files::{
    cni, containerd_toml, kube_proxy_configuration, kubeconfig, kubeconfig_embedded, kubelet_configuration,
};

#[cfg(test)]
mod tests;
