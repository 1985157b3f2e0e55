//! What the installation decides about every sidecar, and what a pod may decide about its own.

use super::pod::Pod;
use super::quantity::Quantity;
use super::refusal::Refusal;
use serde_json::{Map, Value};
use std::str::FromStr;
use tulle_core::authz::MtlsMode;
use tulle_core::codes::Code;
use tulle_core::identity::TrustDomain;
use tulle_core::sidecar::{connection_age, connections_max, tracing_sampling};
use tulle_crds::labels;

/// The installation's values, the same for every pod.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the proxy.
    pub image: String,
    /// `imagePullPolicy` of the image.
    pub image_pull_policy: String,
    /// Namespace of the control plane.
    pub system_namespace: String,
    /// Namespaces in which nothing is ever injected, whatever their labels say.
    pub excluded_namespaces: Vec<String>,
    /// SPIFFE trust domain.
    pub trust_domain: TrustDomain,
    /// DNS domain of Services.
    pub cluster_domain: String,
    /// `host:port` of the issuer.
    pub issuer: String,
    /// mTLS mode where no MeshPolicy says otherwise.
    pub default_mtls: MtlsMode,
    /// Networks of the cluster, comma-separated CIDRs.
    pub cluster_networks: String,
    /// Where spans are sent, as [`tracing_endpoint`](tulle_core::sidecar::tracing_endpoint) reads it; empty: nowhere.
    pub tracing_endpoint: String,
    /// What a pod may override.
    pub defaults: Sidecar,
}

impl Settings {
    /// Whether nothing is ever injected into this namespace.
    pub fn excludes(&self, namespace: &str) -> bool {
        namespace == self.system_namespace || self.excluded_namespaces.iter().any(|excluded| excluded == namespace)
    }
}

/// What a pod may change about its sidecar by annotation. An allow-list: image, user, identity and policy are not on
/// it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sidecar {
    /// Resources of the proxy.
    pub resources: Resources,
    /// Log filter.
    pub log: String,
    /// How each request is logged: `json`, `text` or `off`; empty is `off`.
    pub access_log: String,
    /// Outbound ports left alone.
    pub skip_outbound_ports: String,
    /// Inbound ports left alone.
    pub skip_inbound_ports: String,
    /// Outbound networks left alone.
    pub skip_outbound_networks: String,
    /// Data threads; from the CPU limit where unset.
    pub workers: Option<u16>,
    /// Longest life of a connection that other pods opened, as written; the proxy's default where unset.
    pub connection_max_age: Option<String>,
    /// Connections each direction of the proxy may have at once; the proxy's default where unset.
    pub connections_max: Option<usize>,
    /// Share of traces recorded, in percent as written; the proxy's default where unset.
    pub tracing_sampling: Option<String>,
}

/// `resources` of a container, quantities as written.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What the scheduler reserves.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub requests: Map<String, Value>,
    /// What the kernel enforces.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub limits: Map<String, Value>,
}

impl FromStr for Resources {
    type Err = String;

    /// From JSON, as the chart renders its value.
    fn from_str(json: &str) -> Result<Resources, String> {
        let resources: Resources = serde_json::from_str(json).map_err(|error| error.to_string())?;
        for (name, value) in resources.requests.iter().chain(&resources.limits) {
            quantity(value).ok_or_else(|| format!("{name}: {value} is not a quantity"))?;
        }
        Ok(resources)
    }
}

impl Sidecar {
    /// These defaults with the pod's annotations applied, or the first annotation that cannot be.
    pub fn overridden_by(mut self, pod: Pod<'_>) -> Result<Sidecar, Refusal> {
        // A pod with resources of its own as a whole (KEP-2837) has room for the proxy or not: its containers' requests
        // may not add up to more, so nothing is added that was not asked for.
        if pod.spec("resources").is_object() {
            self.resources = Resources::default();
        }
        for (key, value) in pod.annotations().filter(|(key, _)| key.starts_with(labels::PROXY_ANNOTATION_PREFIX)) {
            let value = value.as_str().unwrap_or("").trim();
            self.set(key, value).map_err(|expected| {
                Refusal::new(Code::InjectAnnotation, format!("annotation {key}: {value:?} is not {expected}"))
            })?;
        }
        self.resources.check()?;
        Ok(self)
    }

    /// Data threads of the proxy: as asked, else one for each CPU of the limit that has started, else unset.
    pub fn workers(&self) -> Option<u16> {
        let from_limit = || {
            let cpus = quantity(self.resources.limits.get("cpu")?)?.ceil();
            u16::try_from(cpus.clamp(1, u64::from(MAX_WORKERS))).ok()
        };
        self.workers.or_else(from_limit)
    }

    /// Applies one annotation; the error says what the value should have been.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let Resources { requests, limits } = &mut self.resources;
        match key {
            labels::CPU_REQUEST => put(requests, "cpu", value)?,
            labels::CPU_LIMIT => put(limits, "cpu", value)?,
            labels::MEMORY_REQUEST => put(requests, "memory", value)?,
            labels::MEMORY_LIMIT => put(limits, "memory", value)?,
            labels::LOG => {
                self.log = log_filter(value).ok_or("a log filter such as info,tulle_proxy::outbound=debug")?.into()
            }
            labels::ACCESS_LOG => {
                self.access_log = access_log(value).ok_or("\"json\", \"text\" or \"off\"")?.to_owned();
            }
            labels::SKIP_OUTBOUND_PORTS => self.skip_outbound_ports = port_list(value).ok_or(PORT_LIST)?.into(),
            labels::SKIP_INBOUND_PORTS => self.skip_inbound_ports = port_list(value).ok_or(PORT_LIST)?.into(),
            labels::SKIP_OUTBOUND_NETWORKS => {
                self.skip_outbound_networks = network_list(value).ok_or(NETWORK_LIST)?.into()
            }
            labels::WORKERS => self.workers = Some(workers(value).ok_or("a number of threads between 1 and 256")?),
            labels::CONNECTION_MAX_AGE => {
                connection_age(value)?;
                self.connection_max_age = Some(value.into());
            }
            labels::CONNECTIONS_MAX => self.connections_max = Some(connections_max(value)?),
            labels::TRACING_SAMPLING => {
                tracing_sampling(value)?;
                self.tracing_sampling = Some(value.into());
            }
            _ => return Err("for an annotation that this release knows"),
        }
        Ok(())
    }
}

impl Resources {
    /// The API server refuses a request above its limit without saying where the numbers came from, so this comes
    /// first.
    fn check(&self) -> Result<(), Refusal> {
        for (name, request) in &self.requests {
            let Some(limit) = self.limits.get(name) else { continue };
            if quantity(request) > quantity(limit) {
                let message = format!(
                    "the sidecar's {name} request {} is above its limit {}; set the annotation {}{name}-limit as well",
                    plain(request),
                    plain(limit),
                    labels::PROXY_ANNOTATION_PREFIX,
                );
                return Err(Refusal::new(Code::InjectAnnotation, message));
            }
        }
        Ok(())
    }
}

/// More threads than this are a typo on any node.
const MAX_WORKERS: u16 = 256;
const PORT_LIST: &str = "a list of ports and ranges such as 22,9000-9100";
const NETWORK_LIST: &str = "a list of networks such as 10.0.0.0/8,fd00::/8";

fn put(amounts: &mut Map<String, Value>, resource: &str, value: &str) -> Result<(), &'static str> {
    Quantity::parse(value).ok_or("a quantity such as 100m or 64Mi")?;
    amounts.insert(resource.into(), value.into());
    Ok(())
}

fn quantity(value: &Value) -> Option<Quantity> {
    Quantity::parse(&plain(value))
}

/// Helm values may carry a quantity as a number.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Only the characters of a `tracing` filter, so that nothing else can be smuggled into the proxy's environment.
fn log_filter(value: &str) -> Option<&str> {
    const MAX_BYTES: usize = 256;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_:=,-[]{}.".contains(&byte);
    (!value.is_empty() && value.len() <= MAX_BYTES && value.bytes().all(allowed)).then_some(value)
}

fn access_log(value: &str) -> Option<&str> {
    ["json", "text", "off"].contains(&value).then_some(value)
}

/// `22,9000-9100`, or empty for none.
pub(crate) fn port_list(value: &str) -> Option<&str> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let valid = |item: &str| match item.split_once('-') {
        Some((first, last)) => matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last),
        None => port(item).is_some(),
    };
    (value.is_empty() || value.split(',').all(valid)).then_some(value)
}

/// `10.0.0.0/8,fd00::/8`, or empty for none.
pub(crate) fn network_list(value: &str) -> Option<&str> {
    (value.is_empty() || value.split(',').all(is_network)).then_some(value)
}

fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let bits = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= bits)
}

fn workers(value: &str) -> Option<u16> {
    value.parse().ok().filter(|workers| (1..=MAX_WORKERS).contains(workers))
}

#[cfg(test)]
pub(crate) mod tests;
