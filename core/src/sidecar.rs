//! What the webhook writes into a pod and the proxy reads there: one place for both sides of that contract.

use std::time::Duration;

use crate::route::filter::percent::Percent;

/// Outbound listener: every TCP connection the application opens arrives here by redirect.
pub const OUTBOUND_PORT: u16 = 15001;
/// Inbound listener: every TCP connection that reaches the pod arrives here by redirect.
pub const INBOUND_PORT: u16 = 15006;
/// Administration, on loopback only.
pub const ADMIN_PORT: u16 = 15000;
/// `/metrics`, `/live`, `/ready` and the rewritten kubelet probes under [`PROBE_PATH_PREFIX`]; never redirected.
pub const HEALTH_PORT: u16 = 15020;
/// The issuer's port on the operator's Service.
pub const ISSUER_PORT: u16 = 15012;
/// ServiceAccount of the operator in the system namespace: the identity a proxy demands of the issuer.
pub const OPERATOR_SERVICE_ACCOUNT: &str = "tulle-operator";
/// Ports of the sidecar itself, free of any application. Only [`HEALTH_PORT`] is exempt from capture, both ways.
pub const OWN_PORTS: [u16; 4] = [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, HEALTH_PORT];

/// User and group of the proxy. Its sockets bypass the outbound redirect, so no other container may run as it.
pub const PROXY_UID: u32 = 1337;

/// Capture is proven by dialling this address (RFC 5737 TEST-NET-1, routed nowhere): only a working redirect answers.
pub const CAPTURE_PROBE_ADDRESS_V4: &str = "192.0.2.1";
/// The same for IPv6 (RFC 3849 documentation prefix).
pub const CAPTURE_PROBE_ADDRESS_V6: &str = "2001:db8::1";
/// Port of the capture proof.
pub const CAPTURE_PROBE_PORT: u16 = 15999;

/// Name of the injected sidecar container.
pub const PROXY_CONTAINER: &str = "tulle-proxy";
/// Name of the injected init container that programs the redirect.
pub const REDIRECT_CONTAINER: &str = "tulle-redirect";
/// Volume with the API server token and the cluster's root certificate.
pub const API_VOLUME: &str = "tulle-api";
/// Volume with the identity token shown to the issuer.
pub const IDENTITY_VOLUME: &str = "tulle-identity";
/// Downward API volume with the pod's labels.
pub const POD_VOLUME: &str = "tulle-pod";

/// Mount of [`API_VOLUME`]: `token`, `ca.crt`.
pub const API_DIR: &str = "/var/run/secrets/tulle.dev/api";
/// Mount of [`IDENTITY_VOLUME`]: `token`.
pub const IDENTITY_DIR: &str = "/var/run/secrets/tulle.dev/identity";
/// Mount of [`POD_VOLUME`]: `labels`, in the downward API's `key="value"` lines.
pub const POD_DIR: &str = "/etc/tulle/pod";

/// Life of the projected API token in seconds. Not 3607, the default of mounted tokens: the API server extends that value to a year.
pub const API_TOKEN_SECONDS: i64 = 3600;

/// Audience of the identity token: a token for the API server cannot be used to obtain a certificate.
pub const IDENTITY_AUDIENCE: &str = "tulle-issuer";
/// Life of the projected identity token in seconds; the kubelet renews it at 80 %.
pub const IDENTITY_TOKEN_SECONDS: i64 = 3600;

/// ConfigMap in the system namespace with the trust bundle, readable by every proxy.
pub const TRUST_BUNDLE_CONFIG_MAP: &str = "tulle-trust-bundle";
/// Key of the PEM certificates in [`TRUST_BUNDLE_CONFIG_MAP`].
pub const TRUST_BUNDLE_KEY: &str = "ca.crt";

/// Path prefix of rewritten probes on [`HEALTH_PORT`]: `/probe/<container>/<livenessProbe|readinessProbe|startupProbe>`.
pub const PROBE_PATH_PREFIX: &str = "/probe";

/// Kubernetes' default for the DNS domain of Services.
pub const DEFAULT_CLUSTER_DOMAIN: &str = "cluster.local";

/// Longest life of a connection that other pods opened, where the pod does not say otherwise: long against a handshake, short against
/// the life of a certificate.
pub const CONNECTION_AGE_DEFAULT: Duration = Duration::from_secs(3600);

/// Reads a longest life of connections: `90s`, `30m`, `1h`, or `off` (`None`).
///
/// # Errors
/// What the text should have been.
pub fn connection_age(text: &str) -> Result<Option<Duration>, &'static str> {
    const FORM: &str = "\"off\", or whole seconds, minutes or hours above 0 such as 90s, 30m or 1h";
    if text == "off" {
        return Ok(None);
    }
    let (seconds, digits) = match (text.strip_suffix('s'), text.strip_suffix('m'), text.strip_suffix('h')) {
        (Some(digits), ..) => (1, digits),
        (_, Some(digits), _) => (60, digits),
        (.., Some(digits)) => (3600, digits),
        _ => return Err(FORM),
    };
    let number: u32 = digits
        .parse()
        .ok()
        .filter(|number| *number > 0 && digits.len() <= 6 && !digits.starts_with('+'))
        .ok_or(FORM)?;
    Ok(Some(Duration::from_secs(u64::from(number) * seconds)))
}

/// Connections each direction of a proxy may have at once, where the pod does not say otherwise: far above what one pod usually has, and at
/// rest 40 MiB of memory.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;
/// Reads how many connections each direction may have.
///
/// # Errors
/// What the text should have been.
pub fn connections_max(text: &str) -> Result<usize, &'static str> {
    let most = text.parse().ok().filter(|most| (1..=1_000_000).contains(most) && !text.starts_with('+'));
    most.ok_or("a number of connections from 1 to 1000000")
}

/// Share of the traces that begin at a proxy and are recorded, where the installation does not say otherwise: 1 %.
pub const TRACING_SAMPLING_DEFAULT: Percent = Percent::ONE;

/// Reads a share of traces in percent: `0.1`, `25`, `100`.
///
/// # Errors
/// What the text should have been.
pub fn tracing_sampling(text: &str) -> Result<Percent, &'static str> {
    text.parse().ok().and_then(Percent::new).ok_or("a percentage from 0 to 100 such as 0.5")
}

/// Path of traces at a collector (OTLP/HTTP).
const TRACES_PATH: &str = "/v1/traces";

/// Reads where spans are sent: the base address of a collector that takes OTLP over HTTP, `http://collector.observability:4318`. The
/// address of its traces is below it.
///
/// # Errors
/// What the text should have been.
pub fn tracing_endpoint(text: &str) -> Result<http::Uri, &'static str> {
    const FORM: &str = "the address of an OTLP/HTTP collector such as http://collector.observability:4318";
    let base: http::Uri = text.parse().map_err(|_| FORM)?;
    let plain = base.scheme() == Some(&http::uri::Scheme::HTTP) && base.query().is_none();
    let authority = base.authority().filter(|authority| plain && !authority.as_str().contains('@')).ok_or(FORM)?;
    let path = base.path().trim_end_matches('/');
    format!("http://{authority}{path}{TRACES_PATH}").parse().map_err(|_| FORM)
}

/// Names of the environment variables of the sidecar.
pub mod env {
    /// DNS domain of Services; [`DEFAULT_CLUSTER_DOMAIN`](super::DEFAULT_CLUSTER_DOMAIN) where unset.
    pub const CLUSTER_DOMAIN: &str = "TULLE_CLUSTER_DOMAIN";
    /// The pod's name (downward API).
    pub const POD_NAME: &str = "TULLE_POD_NAME";
    /// The pod's namespace (downward API).
    pub const POD_NAMESPACE: &str = "TULLE_POD_NAMESPACE";
    /// The pod's addresses, comma-separated, one a family (downward API `status.podIPs`).
    pub const POD_IPS: &str = "TULLE_POD_IPS";
    /// The pod's ServiceAccount (downward API).
    pub const SERVICE_ACCOUNT: &str = "TULLE_SERVICE_ACCOUNT";
    /// The workload that owns the pod, as far as the pod's own metadata tells, e.g. `deployment/web`; a claim, used in metrics only.
    pub const WORKLOAD: &str = "TULLE_WORKLOAD";
    /// Namespace of the control plane.
    pub const SYSTEM_NAMESPACE: &str = "TULLE_SYSTEM_NAMESPACE";
    /// SPIFFE trust domain.
    pub const TRUST_DOMAIN: &str = "TULLE_TRUST_DOMAIN";
    /// `host:port` of the issuer.
    pub const ISSUER: &str = "TULLE_ISSUER";
    /// mTLS mode where no MeshPolicy says otherwise: `STRICT`, `PERMISSIVE` or `DISABLE`.
    pub const DEFAULT_MTLS: &str = "TULLE_DEFAULT_MTLS";
    /// Number of data threads; 1 where unset.
    pub const WORKERS: &str = "TULLE_WORKERS";
    /// Log filter, `info` where unset.
    pub const LOG: &str = "TULLE_LOG";
    /// `json` or `text` writes one access log line a request or connection to standard output; `off` where unset.
    pub const ACCESS_LOG: &str = "TULLE_ACCESS_LOG";
    /// The probes to answer, JSON of [`ProbeTable`](super::ProbeTable).
    pub const PROBES: &str = "TULLE_PROBES";
    /// Outbound destination ports left alone: comma-separated ports and ranges, `22,9000-9100`.
    pub const SKIP_OUTBOUND_PORTS: &str = "TULLE_SKIP_OUTBOUND_PORTS";
    /// Inbound ports left alone, same form.
    pub const SKIP_INBOUND_PORTS: &str = "TULLE_SKIP_INBOUND_PORTS";
    /// Outbound destination networks left alone: comma-separated CIDRs of both families.
    pub const SKIP_OUTBOUND_NETWORKS: &str = "TULLE_SKIP_OUTBOUND_NETWORKS";
    /// Networks of the cluster, comma-separated CIDRs: while the API server is away, an unknown address inside them is refused
    /// instead of being dialled in plaintext.
    pub const CLUSTER_NETWORKS: &str = "TULLE_CLUSTER_NETWORKS";
    /// How connections reach the proxy: `redirect` (by the rules of the init container, proven before the pod is ready), or `listen` (at
    /// the addresses below, so whatever else the pod opens is not captured). `redirect` where unset; the webhook never sets it.
    pub const CAPTURE: &str = "TULLE_CAPTURE";
    /// With `listen`: addresses to listen on for the application, comma-separated `ip:port`. Each stands for itself: whoever connects to
    /// it wanted to go there, so the addresses are those of Services, given to an interface of the pod.
    pub const LISTEN_OUTBOUND: &str = "TULLE_LISTEN_OUTBOUND";
    /// With `listen`: addresses of the pod to listen on for peers, and where the application is for each, comma-separated
    /// `ip:port=ip:port`.
    pub const LISTEN_INBOUND: &str = "TULLE_LISTEN_INBOUND";
    /// Longest life of a connection that other pods opened, see [`connection_age`](super::connection_age);
    /// [`CONNECTION_AGE_DEFAULT`](super::CONNECTION_AGE_DEFAULT) where unset.
    pub const CONNECTION_AGE_MAX: &str = "TULLE_CONNECTION_AGE_MAX";
    /// Connections each direction may have at once, see [`connections_max`](super::connections_max);
    /// [`CONNECTIONS_MAX_DEFAULT`](super::CONNECTIONS_MAX_DEFAULT) where unset.
    pub const CONNECTIONS_MAX: &str = "TULLE_CONNECTIONS_MAX";
    /// Where spans are sent, see [`tracing_endpoint`](super::tracing_endpoint); nowhere where unset, and then traces pass unchanged.
    pub const TRACING_ENDPOINT: &str = "TULLE_TRACING_ENDPOINT";
    /// Share of the traces that begin here and are recorded, see [`tracing_sampling`](super::tracing_sampling);
    /// [`TRACING_SAMPLING_DEFAULT`](super::TRACING_SAMPLING_DEFAULT) where unset.
    pub const TRACING_SAMPLING: &str = "TULLE_TRACING_SAMPLING";
    /// Key exchange of TLS: `hybrid` (X25519MLKEM768 first, then what is known without it) or `x25519` (no post-quantum part: less CPU and
    /// shorter hellos, but recorded traffic can be read once quantum computers can); `hybrid` where unset.
    pub const KEY_EXCHANGE: &str = "TULLE_KEY_EXCHANGE";
}

/// Probes of a pod's containers as the user wrote them, by `<container>/<probe field>`.
pub type ProbeTable = std::collections::BTreeMap<String, Probe>;

/// One probe the proxy runs against the application on the kubelet's behalf.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What to ask.
    #[serde(flatten)]
    pub action: ProbeAction,
    /// Time limit in seconds, as in the pod's `timeoutSeconds`.
    pub timeout_seconds: u32,
}

/// The three network probes of Kubernetes; `exec` probes are left to the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeAction {
    /// HTTP GET; healthy at 200–399 (KEP-less rule of the kubelet's prober).
    HttpGet {
        /// Port of the application.
        port: u16,
        /// Path with query.
        path: String,
        /// Whether to speak TLS without verification, as the kubelet does.
        #[serde(default)]
        https: bool,
        /// Extra headers in order, `Host` included.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// TCP connect.
    TcpSocket {
        /// Port of the application.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// Port of the application.
        port: u16,
        /// Service name in the request; empty asks for the server as a whole.
        #[serde(default)]
        service: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_of_connections_have_a_unit() {
        assert_eq!(connection_age("off"), Ok(None));
        assert_eq!(connection_age("90s"), Ok(Some(Duration::from_secs(90))));
        assert_eq!(connection_age("30m"), Ok(Some(Duration::from_secs(1800))));
        assert_eq!(connection_age("1h"), Ok(Some(Duration::from_secs(3600))));
        for wrong in ["", "s", "0s", "90", "-1s", "+1s", "1.5h", "1d", "1 h", "9999999s"] {
            assert!(connection_age(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn traces_go_below_the_address_of_the_collector() {
        let read = |text| tracing_endpoint(text).map(|uri| uri.to_string());
        assert_eq!(read("http://collector.obs:4318").unwrap(), "http://collector.obs:4318/v1/traces");
        assert_eq!(read("http://collector.obs:4318/").unwrap(), "http://collector.obs:4318/v1/traces");
        assert_eq!(read("http://[fd00::7]:80/otlp/").unwrap(), "http://[fd00::7]:80/otlp/v1/traces");
        for wrong in ["", "collector:4318", "https://collector", "http://", "http://u:p@collector", "http://c/?a=b"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn shares_of_traces_are_percentages() {
        assert_eq!(tracing_sampling("100"), Ok(Percent::ALL));
        assert_eq!(tracing_sampling("0.5").ok(), Percent::new(0.5));
        for wrong in ["", "-1", "101", "1%", "NaN", "inf", "one"] {
            assert!(tracing_sampling(wrong).is_err(), "{wrong:?}");
        }
    }
}
