//! Settings, read once from arguments or environment. The chart sets all of them.

use crate::inject::settings::{Resources, Settings, Sidecar, network_list, port_list};
use clap::Args;
use std::path::PathBuf;
use tulle_core::authz::MtlsMode;
use tulle_core::identity::TrustDomain;
use tulle_core::sidecar::{DEFAULT_CLUSTER_DOMAIN, env, tracing_endpoint, tracing_sampling};

/// Port of `/inject` and `/validate`, HTTPS.
pub const WEBHOOK_PORT: u16 = 8443;
/// Port of `/live`, `/ready` and `/metrics`, plain HTTP.
pub const ADMIN_PORT: u16 = 8080;

/// Settings of `run`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Directory with `tls.crt` and `tls.key`, reloaded when they change.
    #[arg(long, env = "TULLE_TLS_DIR", default_value = "/etc/tulle/tls")]
    pub tls_dir: PathBuf,
    /// What every sidecar of this installation looks like.
    #[command(flatten)]
    pub sidecar: SidecarArgs,
}

/// The installation's values for sidecars.
#[derive(Args, Clone, Debug)]
pub struct SidecarArgs {
    /// DNS domain of the cluster.
    #[arg(long, env = env::CLUSTER_DOMAIN, default_value = DEFAULT_CLUSTER_DOMAIN)]
    pub cluster_domain: String,
    /// Image of the proxy.
    #[arg(long, env = "TULLE_PROXY_IMAGE")]
    pub proxy_image: String,
    /// imagePullPolicy of the proxy.
    #[arg(long, env = "TULLE_PROXY_IMAGE_PULL_POLICY", default_value = "IfNotPresent",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    pub proxy_image_pull_policy: String,
    /// Resources of the proxy, JSON as in a container.
    #[arg(long, env = "TULLE_PROXY_RESOURCES", default_value = "{}")]
    pub proxy_resources: Resources,
    /// Log filter of the proxy.
    #[arg(long, env = "TULLE_PROXY_LOG", default_value = "info")]
    pub proxy_log: String,
    /// `json` or `text` logs each request, `off` none.
    #[arg(long, env = "TULLE_PROXY_ACCESS_LOG", default_value = "off", value_parser = ["json", "text", "off"])]
    pub proxy_access_log: String,
    /// Outbound ports left alone, e.g. 22,9000-9100.
    #[arg(long, env = "TULLE_PROXY_SKIP_OUTBOUND_PORTS", default_value = "", value_parser = ports)]
    pub proxy_skip_outbound_ports: String,
    /// Inbound ports left alone.
    #[arg(long, env = "TULLE_PROXY_SKIP_INBOUND_PORTS", default_value = "", value_parser = ports)]
    pub proxy_skip_inbound_ports: String,
    /// Outbound networks left alone, CIDRs.
    #[arg(long, env = "TULLE_PROXY_SKIP_OUTBOUND_NETWORKS", default_value = "", value_parser = networks)]
    pub proxy_skip_outbound_networks: String,
    /// Networks of the cluster, CIDRs.
    #[arg(long, env = "TULLE_PROXY_CLUSTER_NETWORKS", default_value = "", value_parser = networks)]
    pub proxy_cluster_networks: String,
    /// Where proxies send spans, e.g. `http://collector.observability:4318`; nowhere where empty.
    #[arg(long, env = "TULLE_PROXY_TRACING_ENDPOINT", default_value = "", value_parser = endpoint)]
    pub proxy_tracing_endpoint: String,
    /// Share in percent of the traces that begin at a proxy and are recorded.
    #[arg(long, env = "TULLE_PROXY_TRACING_SAMPLING", default_value = "1", value_parser = sampling)]
    pub proxy_tracing_sampling: String,
    /// Namespace of the control plane.
    #[arg(long, env = env::SYSTEM_NAMESPACE, default_value = "tulle-system")]
    pub system_namespace: String,
    /// Namespaces in which nothing is ever injected.
    #[arg(long, env = "TULLE_EXCLUDED_NAMESPACES", value_delimiter = ',')]
    pub excluded_namespaces: Vec<String>,
    /// SPIFFE trust domain.
    #[arg(long, env = env::TRUST_DOMAIN, default_value = "cluster.local")]
    pub trust_domain: TrustDomain,
    /// `host:port` of the issuer.
    #[arg(long, env = env::ISSUER)]
    pub issuer: String,
    /// mTLS mode where no MeshPolicy says otherwise: STRICT, PERMISSIVE or DISABLE.
    #[arg(long, env = env::DEFAULT_MTLS, default_value = "PERMISSIVE")]
    pub default_mtls: MtlsMode,
}

impl From<SidecarArgs> for Settings {
    fn from(args: SidecarArgs) -> Settings {
        Settings {
            image: args.proxy_image,
            image_pull_policy: args.proxy_image_pull_policy,
            system_namespace: args.system_namespace,
            excluded_namespaces: args.excluded_namespaces,
            trust_domain: args.trust_domain,
            cluster_domain: args.cluster_domain,
            issuer: args.issuer,
            default_mtls: args.default_mtls,
            cluster_networks: args.proxy_cluster_networks,
            tracing_endpoint: args.proxy_tracing_endpoint,
            defaults: Sidecar {
                resources: args.proxy_resources,
                log: args.proxy_log,
                access_log: args.proxy_access_log,
                skip_outbound_ports: args.proxy_skip_outbound_ports,
                skip_inbound_ports: args.proxy_skip_inbound_ports,
                skip_outbound_networks: args.proxy_skip_outbound_networks,
                workers: None,
                connection_max_age: None,
                connections_max: None,
                tracing_sampling: Some(args.proxy_tracing_sampling),
            },
        }
    }
}

fn ports(value: &str) -> Result<String, &'static str> {
    port_list(value).map(str::to_owned).ok_or("not a list of ports and ranges such as 22,9000-9100")
}

fn networks(value: &str) -> Result<String, &'static str> {
    network_list(value).map(str::to_owned).ok_or("not a list of networks such as 10.0.0.0/8,fd00::/8")
}

fn endpoint(value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Ok(String::new());
    }
    tracing_endpoint(value).map(|_| value.to_owned()).map_err(|form| format!("must be {form}"))
}

fn sampling(value: &str) -> Result<String, String> {
    tracing_sampling(value).map(|_| value.to_owned()).map_err(|form| format!("must be {form}"))
}
