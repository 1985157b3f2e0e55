//! Settings, read once from arguments or environment and then only passed on. The constants are names, not choices:
//! chart, proxy and webhook rely on them.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tulle_core::identity::{SpiffeId, TrustDomain};

/// Port of `/live`, `/ready` and `/metrics`.
pub const ADMIN_PORT: u16 = 8080;
/// Lease that makes one replica the leader.
pub const LEASE: &str = "tulle-operator";
/// Secret with the root certificate and its key.
pub const CA_SECRET: &str = "tulle-ca";
/// Secret with the authority of the webhook's serving certificate.
pub const WEBHOOK_CA_SECRET: &str = "tulle-webhook-ca";
/// Secret with the webhook's serving certificate, mounted by the webhook.
pub const WEBHOOK_TLS_SECRET: &str = "tulle-webhook-tls";
/// Service of the webhook, and name of both webhook configurations.
pub const WEBHOOK: &str = "tulle-webhook";
/// ClusterRole of proxies (rendered by the chart) and its binding (written here).
pub const PROXY_ROLE: &str = "tulle-proxy";
/// Role in the system namespace that lets proxies read the trust bundle (chart), and its binding (written here).
pub const BUNDLE_ROLE: &str = "tulle-proxy-trust-bundle";

/// Shortest life of a workload certificate: below this a proxy renews more than once in ten seconds.
const LEAF_TTL_MIN: Duration = Duration::from_secs(30);
/// Longest: revocation is expiry, so a stolen key must not serve for months.
const LEAF_TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// `tulle-operator`: reconciles the mesh's objects and signs workload certificates.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log filter: a level, or target=level pairs separated by commas.
    #[arg(long, env = "TULLE_LOG", default_value = "info", global = true)]
    pub log: String,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run until SIGTERM.
    Run(Config),
    /// Remove what the operator wrote. Refuses while pods still carry proxies, because these need the trust root.
    Uninstall(Uninstall),
}

/// Settings of `uninstall`.
#[derive(Args, Debug)]
pub struct Uninstall {
    /// Only tell whether pods still carry proxies.
    #[arg(long)]
    pub check: bool,
    /// Namespace of the control plane.
    #[arg(long, env = tulle_core::sidecar::env::SYSTEM_NAMESPACE, default_value = "tulle-system")]
    pub system_namespace: String,
}

/// Settings of `run`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Namespace of the control plane.
    #[arg(long, env = tulle_core::sidecar::env::SYSTEM_NAMESPACE, default_value = "tulle-system")]
    pub system_namespace: String,
    /// Name of this pod: holder of the lease and source of events.
    #[arg(long, env = tulle_core::sidecar::env::POD_NAME)]
    pub pod_name: String,
    /// ServiceAccount of this pod: the identity the issuer shows to proxies.
    #[arg(long, env = tulle_core::sidecar::env::SERVICE_ACCOUNT, default_value = tulle_core::sidecar::OPERATOR_SERVICE_ACCOUNT)]
    pub service_account: String,
    /// SPIFFE trust domain.
    #[arg(long, env = tulle_core::sidecar::env::TRUST_DOMAIN, default_value = "cluster.local", value_parser = trust_domain)]
    pub trust_domain: TrustDomain,
    /// DNS domain of the cluster.
    #[arg(long, env = "TULLE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Life of a workload certificate, 30s to 30d.
    #[arg(long, env = "TULLE_LEAF_TTL", default_value = "24h", value_parser = leaf_ttl)]
    pub leaf_ttl: Duration,
    /// Follow TrafficSplits of the Service Mesh Interface.
    #[arg(long, env = "TULLE_SMI")]
    pub smi: bool,
    /// Life of a new root.
    #[arg(long, env = "TULLE_CA_TTL", default_value = "87600h", value_parser = duration)]
    pub ca_ttl: Duration,
}

impl Config {
    /// The operator's own identity, which proxies demand of the issuer.
    ///
    /// # Errors
    /// The namespace or ServiceAccount cannot stand in a SPIFFE id.
    pub fn identity(&self) -> anyhow::Result<SpiffeId> {
        Ok(SpiffeId::new(&self.trust_domain, &self.system_namespace, &self.service_account)?)
    }
}

fn trust_domain(text: &str) -> Result<TrustDomain, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn leaf_ttl(text: &str) -> Result<Duration, String> {
    let ttl = duration(text)?;
    if (LEAF_TTL_MIN..=LEAF_TTL_MAX).contains(&ttl) {
        return Ok(ttl);
    }
    Err(format!("{text} is outside 30s to 30d; 24h is a good choice"))
}

/// A whole number with a unit: `90s`, `10m`, `24h`, `30d`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write a whole number with s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|total| *total > 0).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
