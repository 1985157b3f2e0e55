//! Capture: every TCP connection of the pod passes the proxy, because the pod's own network namespace redirects it.
//!
//! [`rules`] decides (pure, printed and tested as nftables text), [`netlink`] sends the same value to the kernel in one atomic batch and
//! reads it back. No shell and no `nft` binary are involved, so the image holds one file. The `redirect` init container calls
//! [`install`]; the running proxy then proves from its own side that capture works ([`crate::capture`]).

pub(crate) mod netlink;
pub(crate) mod rules;

pub(crate) use netlink::RedirectError;
pub(crate) use rules::{PortRange, RuleSet, Skip};

use std::path::Path;

/// Exists in the initial network namespace only: the kernel registers this part of `net/core` for `init_net` alone.
const INITIAL_NAMESPACE_MARK: &str = "/proc/sys/net/core/netdev_max_backlog";

/// Programs the redirect of this network namespace, replacing what an earlier run installed, and checks that it is there.
///
/// Needs `CAP_NET_ADMIN`. Blocking; takes a few milliseconds.
///
/// # Errors
/// Every [`RedirectError`] leaves the namespace as it was: the kernel applies the batch whole or not at all.
pub(crate) fn install(skip: &Skip) -> Result<RuleSet, RedirectError> {
    refuse_host_network(Path::new(INITIAL_NAMESPACE_MARK))?;
    let rules = RuleSet::new(skip);
    netlink::replace(&rules)?;
    netlink::verify(&rules)?;
    Ok(rules)
}

/// A pod with `hostNetwork: true` shares the node's namespace: these rules would capture the traffic of the whole node. The webhook
/// refuses such pods; this is the second lock. A node that itself lives in a network namespace cannot be told from a pod here.
fn refuse_host_network(mark: &Path) -> Result<(), RedirectError> {
    if mark.exists() { Err(RedirectError::HostNetwork) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
