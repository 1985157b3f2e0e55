//! The sidecar's configuration: read once from the environment, meaning checked, then never read again.
//!
//! The webhook writes these variables ([`tulle_core::sidecar::env`]); a user reaches them through annotations only. Strings become types
//! here, and a mistake names the variable, its value and what to do.

mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tulle_core::authz::MtlsMode;
use tulle_core::identity::{SpiffeId, TrustDomain};
use tulle_core::name::Namespace;
use tulle_core::route::filter::percent::Percent;
use tulle_core::sidecar::{
    API_DIR, CONNECTION_AGE_DEFAULT, CONNECTIONS_MAX_DEFAULT, DEFAULT_CLUSTER_DOMAIN, IDENTITY_DIR,
    OPERATOR_SERVICE_ACCOUNT, POD_DIR, ProbeTable, TRACING_SAMPLING_DEFAULT, connection_age, connections_max, env,
    tracing_endpoint, tracing_sampling,
};

use crate::access_log::Format;
use crate::redirect::Skip;
pub(crate) use values::HostPort;

/// Data threads a proxy can have; more than any node's share for one sidecar.
const WORKERS_MAX: usize = 64;

/// Everything the running proxy is told from outside, apart from what it watches.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Config {
    /// The pod this proxy belongs to.
    pub(crate) pod: Pod,
    /// Our SPIFFE id.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) identity: SpiffeId,
    /// Namespace of the control plane.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) system_namespace: Namespace,
    /// Our trust domain.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) trust_domain: TrustDomain,
    /// Where certificates are issued.
    pub(crate) issuer: Issuer,
    /// Mode where no MeshPolicy says otherwise.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) default_mtls: MtlsMode,
    /// Number of data threads, at least 1.
    pub(crate) workers: usize,
    /// Longest life of a connection that another pod opened.
    pub(crate) connection_age: Option<Duration>,
    /// Connections each direction may have at once, at least 1.
    pub(crate) connections_max: usize,
    /// Log filter.
    pub(crate) log: String,
    /// How requests and connections are written to standard output; `None`: not at all.
    pub(crate) access_log: Option<Format>,
    /// Where spans are sent; `None`: there are none.
    pub(crate) tracing: Option<Tracing>,
    /// Probes to run for the kubelet. Their headers may hold secrets, so only their names are shown.
    #[serde(serialize_with = "values::names_only")]
    pub(crate) probes: ProbeTable,
    /// DNS domain of Services.
    pub(crate) cluster_domain: String,
    /// What is not captured.
    pub(crate) skip: Skip,
    /// Networks in which an unknown address is never taken for one outside the mesh.
    pub(crate) cluster_networks: Vec<IpNet>,
    /// The API server.
    pub(crate) api: Api,
    /// The pod's labels, in the downward API's `key="value"` lines; changes with the pod.
    pub(crate) labels_file: PathBuf,
    /// How connections reach the proxy.
    pub(crate) capture: Capture,
    /// First key exchange of TLS.
    pub(crate) key_exchange: KeyExchange,
}

/// Spans of requests.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Tracing {
    /// The address of traces at the collector.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) endpoint: http::Uri,
    /// Share of the traces that begin here and are recorded.
    #[serde(skip)]
    pub(crate) sampling: Percent,
}

/// How connections reach the proxy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Capture {
    /// The pod's own network namespace redirects them; proven before the proxy is ready.
    Redirect,
    /// The proxy listens where they go. Nothing is redirected and nothing proven: what else the application opens passes the mesh by.
    /// For measurements beside other proxies, and where netfilter cannot be had.
    Listen {
        /// Addresses the application dials. The local address of a connection is its destination.
        outbound: Vec<SocketAddr>,
        /// Addresses of this pod that peers dial, each with the application's.
        inbound: Vec<(SocketAddr, SocketAddr)>,
    },
}

/// What TLS offers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum KeyExchange {
    /// X25519MLKEM768.
    Hybrid,
    /// X25519, and nothing post-quantum after it.
    X25519,
}

impl Capture {
    /// Where the application answers for this address of the pod.
    pub(crate) fn application(&self, dialled: SocketAddr) -> SocketAddr {
        let Self::Listen { inbound, .. } = self else { return dialled };
        inbound.iter().find(|(own, _)| *own == dialled).map_or(dialled, |(_, application)| *application)
    }
}

/// The pod this proxy belongs to.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Pod {
    /// Name.
    pub(crate) name: String,
    /// Namespace.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) namespace: Namespace,
    /// Addresses, the primary one first, at most one a family; never empty.
    pub(crate) ips: Vec<IpAddr>,
    /// ServiceAccount.
    pub(crate) service_account: String,
    /// Owner as the pod's metadata claims it, e.g. `deployment/web`.
    pub(crate) workload: Option<String>,
}

/// Where and from whom a certificate is obtained.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Issuer {
    /// Address.
    pub(crate) address: HostPort,
    /// Who must answer there.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) identity: SpiffeId,
    /// File of the token that proves who we are; the kubelet replaces it.
    pub(crate) token_file: PathBuf,
}

/// The API server and how to be admitted there.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Api {
    /// `https://host:port`.
    #[serde(serialize_with = "values::as_text")]
    pub(crate) url: http::Uri,
    /// Bearer token; the kubelet replaces it.
    pub(crate) token_file: PathBuf,
    /// Root certificates of the API server.
    pub(crate) ca_file: PathBuf,
}

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It must be there.
    #[error("{variable} is not set; {remedy}")]
    Missing {
        /// Its name.
        variable: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// It cannot be read.
    #[error("{variable}={value:?}: {problem}")]
    Invalid {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// For everything the webhook sets itself.
const FROM_WEBHOOK: &str = "the webhook sets it: was this pod injected by a webhook of another release?";
/// For what every pod has.
const FROM_KUBELET: &str = "the kubelet sets it in every container";

impl Pod {
    /// The name of the workload in metrics: the claimed owner, or the pod itself.
    pub(crate) fn workload_name(&self) -> &str {
        self.workload.as_deref().unwrap_or(&self.name)
    }

    /// The address the kubelet dials.
    pub(crate) fn primary_ip(&self) -> IpAddr {
        self.ips[0] // never empty, see the field
    }
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// The first variable that is missing or unusable.
    pub(crate) fn from_env() -> Result<Config, ConfigError> {
        Config::read(&Variables(&|name| std::env::var(name).ok()))
    }

    /// Reads settings given by name.
    ///
    /// # Errors
    /// The first that is missing or unusable.
    #[cfg(any(test, feature = "lab"))]
    pub(crate) fn from_pairs(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::read(&Variables(&find))
    }

    fn read(variables: &Variables<'_>) -> Result<Config, ConfigError> {
        let pod = Pod::read(variables)?;
        let system_namespace = Namespace::new(variables.required(env::SYSTEM_NAMESPACE, FROM_WEBHOOK)?);
        let trust_domain: TrustDomain = variables.parsed(env::TRUST_DOMAIN, FROM_WEBHOOK)?;
        let identity = |variable, namespace: &Namespace, service_account: &str| {
            SpiffeId::new(&trust_domain, namespace, service_account)
                .map_err(|cause| invalid(variable, namespace.to_string(), cause))
        };
        let issuer = Issuer {
            address: variables.parsed(env::ISSUER, FROM_WEBHOOK)?,
            identity: identity(env::SYSTEM_NAMESPACE, &system_namespace, OPERATOR_SERVICE_ACCOUNT)?,
            token_file: PathBuf::from(IDENTITY_DIR).join("token"),
        };
        Ok(Config {
            identity: identity(env::POD_NAMESPACE, &pod.namespace, &pod.service_account)?,
            system_namespace,
            issuer,
            default_mtls: variables.parsed(env::DEFAULT_MTLS, FROM_WEBHOOK)?,
            workers: variables.optional(env::WORKERS, values::workers)?.unwrap_or(1),
            connection_age: variables
                .optional(env::CONNECTION_AGE_MAX, |text| {
                    connection_age(text).map_err(|form| format!("must be {form}"))
                })?
                .unwrap_or(Some(CONNECTION_AGE_DEFAULT)),
            connections_max: variables
                .optional(env::CONNECTIONS_MAX, |text| connections_max(text).map_err(|form| format!("must be {form}")))?
                .unwrap_or(CONNECTIONS_MAX_DEFAULT),
            log: variables.get(env::LOG).unwrap_or_else(|| "info".to_owned()),
            access_log: variables.optional(env::ACCESS_LOG, values::access_log)?.flatten(),
            tracing: Tracing::read(variables)?,
            probes: variables.optional(env::PROBES, values::probes)?.unwrap_or_default(),
            cluster_domain: variables.get(env::CLUSTER_DOMAIN).unwrap_or_else(|| DEFAULT_CLUSTER_DOMAIN.to_owned()),
            skip: read_skip(variables)?,
            cluster_networks: variables.optional(env::CLUSTER_NETWORKS, values::networks)?.unwrap_or_default(),
            api: Api::read(variables)?,
            labels_file: PathBuf::from(POD_DIR).join("labels"),
            capture: Capture::read(variables)?,
            key_exchange: variables.optional(env::KEY_EXCHANGE, values::key_exchange)?.unwrap_or(KeyExchange::Hybrid),
            trust_domain,
            pod,
        })
    }
}

impl Pod {
    fn read(variables: &Variables<'_>) -> Result<Pod, ConfigError> {
        let ips = variables.required(env::POD_IPS, FROM_WEBHOOK)?;
        Ok(Pod {
            name: variables.required(env::POD_NAME, FROM_WEBHOOK)?,
            namespace: Namespace::new(variables.required(env::POD_NAMESPACE, FROM_WEBHOOK)?),
            ips: values::addresses(&ips).map_err(|problem| invalid(env::POD_IPS, ips, problem))?,
            service_account: variables.required(env::SERVICE_ACCOUNT, FROM_WEBHOOK)?,
            workload: variables.get(env::WORKLOAD),
        })
    }
}

impl Tracing {
    fn read(variables: &Variables<'_>) -> Result<Option<Tracing>, ConfigError> {
        let sampling = variables
            .optional(env::TRACING_SAMPLING, |text| tracing_sampling(text).map_err(|form| format!("must be {form}")))?;
        let endpoint = variables
            .optional(env::TRACING_ENDPOINT, |text| tracing_endpoint(text).map_err(|form| format!("must be {form}")))?;
        Ok(endpoint.map(|endpoint| Tracing { endpoint, sampling: sampling.unwrap_or(TRACING_SAMPLING_DEFAULT) }))
    }
}

impl Api {
    fn read(variables: &Variables<'_>) -> Result<Api, ConfigError> {
        const HOST: &str = "KUBERNETES_SERVICE_HOST";
        let host = variables.required(HOST, FROM_KUBELET)?;
        let port: u16 = variables.parsed("KUBERNETES_SERVICE_PORT", FROM_KUBELET)?;
        // An IPv6 address stands in brackets in a URI (RFC 3986 §3.2.2).
        let host = if host.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6()) { format!("[{host}]") } else { host };
        let url = format!("https://{host}:{port}").parse().map_err(|cause| invalid(HOST, host, cause))?;
        let directory = PathBuf::from(API_DIR);
        Ok(Api { url, token_file: directory.join("token"), ca_file: directory.join("ca.crt") })
    }
}

impl Capture {
    fn read(variables: &Variables<'_>) -> Result<Capture, ConfigError> {
        if !variables.optional(env::CAPTURE, values::listens)?.unwrap_or(false) {
            return Ok(Self::Redirect);
        }
        Ok(Self::Listen {
            outbound: variables.optional(env::LISTEN_OUTBOUND, values::sockets)?.unwrap_or_default(),
            inbound: variables.optional(env::LISTEN_INBOUND, values::socket_pairs)?.unwrap_or_default(),
        })
    }
}

/// The exclusions alone: all that the `redirect` init container is told.
///
/// # Errors
/// The first variable that is unusable.
pub(crate) fn skip_from_env() -> Result<Skip, ConfigError> {
    read_skip(&Variables(&|name| std::env::var(name).ok()))
}

fn read_skip(variables: &Variables<'_>) -> Result<Skip, ConfigError> {
    Ok(Skip {
        outbound_ports: variables.optional(env::SKIP_OUTBOUND_PORTS, values::ports)?.unwrap_or_default(),
        inbound_ports: variables.optional(env::SKIP_INBOUND_PORTS, values::ports)?.unwrap_or_default(),
        outbound_networks: variables.optional(env::SKIP_OUTBOUND_NETWORKS, values::networks)?.unwrap_or_default(),
    })
}

/// The environment as a function, so that tests need none. Empty counts as unset, as in Kubernetes manifests.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, variable: &'static str) -> Option<String> {
        (self.0)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&self, variable: &'static str, remedy: &'static str) -> Result<String, ConfigError> {
        self.get(variable).ok_or(ConfigError::Missing { variable, remedy })
    }

    fn parsed<T: std::str::FromStr<Err: ToString>>(
        &self,
        variable: &'static str,
        remedy: &'static str,
    ) -> Result<T, ConfigError> {
        let value = self.required(variable, remedy)?;
        value.parse().map_err(|cause: T::Err| invalid(variable, value, cause))
    }

    fn optional<T>(
        &self,
        variable: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(variable) else { return Ok(None) };
        parse(&value).map(Some).map_err(|problem| invalid(variable, value, problem))
    }
}

fn invalid(variable: &'static str, value: String, problem: impl ToString) -> ConfigError {
    ConfigError::Invalid { variable, value, problem: problem.to_string() }
}

#[cfg(test)]
mod tests;
