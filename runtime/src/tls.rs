//! The TLS settings of servers of the control plane, and the one place that picks the cryptography.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

/// Makes aws-lc-rs the provider of every TLS connection of this process. Call once, first thing in `main`.
///
/// # Errors
/// A provider was installed before.
pub fn install_provider() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| {
        anyhow::anyhow!("a TLS provider was installed before; tls::install_provider is called once, from main")
    })
}

/// TLS 1.3 only, HTTP/2 preferred, no client certificate, no resumption: connections are few and a resumed one would
/// outlive the certificate it was made under.
///
/// # Panics
/// Never: the aws-lc-rs provider has TLS 1.3 suites.
#[must_use]
pub fn server_config(certificate: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("aws-lc-rs has TLS 1.3 cipher suites")
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}
